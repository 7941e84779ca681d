package sites

import (
	"context"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// Members lists the users of an organization, waiting for the site as long as ctx lasts.
func (s *Sites) Members(ctx context.Context, site, organization string) ([]string, error) {
	w, err := s.writer(ctx, site)
	if err != nil {
		return nil, err
	}
	return w.access.Members(ctx, organization)
}

// Tenant is the DocType that jobs of a site belong to; the default while the site can't be asked.
func (s *Sites) Tenant(ctx context.Context, site string) string {
	w, err := s.writer(ctx, site)
	if err == nil {
		var tenant string
		if tenant, err = w.db.Tenant(ctx); err == nil {
			return tenant
		}
	}
	return rows.DefaultTenant
}
