package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/opensoft/dartwing-bridge/bridge/internal/batches"
	"github.com/opensoft/dartwing-bridge/bridge/internal/submit"
	"github.com/opensoft/dartwing-bridge/frappe/access"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// BatchRequest describes a batch: jobs that belong together, with a progress of their own and a job that is submitted once
// all have ended.
type BatchRequest struct {
	// Site, Organization and User are as in SubmitRequest, and those of all its jobs.
	Site, Organization, User string
	// Title is for people. Default: none.
	Title string
	// Jobs are submitted into it. More may follow by SubmitRequest.Batch while it is Open.
	Jobs []SubmitRequest
	// Open leaves it open: it ends once it was closed (CloseBatch) and its jobs have ended. Default: it takes Jobs and no more.
	Open bool
	// Callback is submitted when all have ended, whatever became of them: JobType and Parameters count, a JSON object to which
	// batch is added, as {"name": "BATCH-…", "status": "Failed", "total": 3, "done": 2, "failed": 1}. Default: none.
	Callback *SubmitRequest
}

// SubmitBatch makes a batch and submits its jobs. What one of them is refused for is its error, in their order, and it isn't in the batch then. After
// an error of a server the batch stays open with those that were submitted: close it, or cancel it. The errors are those of Submit.
func (c *Client) SubmitBatch(ctx context.Context, r BatchRequest) (*rows.Batch, []error, error) {
	b, err := c.newBatch(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	requests := make([]submit.Request, len(r.Jobs))
	for i, job := range r.Jobs {
		requests[i] = submit.Request(job)
		requests[i].Site, requests[i].Organization, requests[i].User, requests[i].Batch = r.Site, b.Organization, b.OwnerUser, b.Name
	}
	errs := make([]error, len(r.Jobs))
	results, err := c.submitter.Submit(ctx, requests, nil)
	for i, result := range results {
		if errs[i] = result.Err; result.Err == nil {
			b.Total++
		}
	}
	if err != nil {
		return b, errs, fmt.Errorf("batch %s is left open: %w", b.Name, err)
	}
	if !r.Open {
		_, err = c.CloseBatch(ctx, r.Site, b.Name, b.OwnerUser)
		b.Closed = err == nil
	}
	return b, errs, err
}

// newBatch makes a batch without jobs.
func (c *Client) newBatch(ctx context.Context, r BatchRequest) (*rows.Batch, error) {
	db, err := c.sites.DB(ctx, r.Site)
	if err != nil {
		return nil, err
	}
	request := submit.Request{Site: r.Site, Organization: r.Organization, User: r.User}
	known, err := c.sites.Know(ctx, r.Site, []access.Caller{c.submitter.Caller(request)})
	if err != nil {
		return nil, err
	}
	id, err := c.submitter.Identity(request, known)
	if err != nil {
		return nil, err
	}
	b := &rows.Batch{Title: r.Title, Organization: id.Organization, OwnerUser: id.User}
	if r.Callback != nil {
		b.CallbackJobType = r.Callback.JobType
		if r.Callback.Parameters != nil {
			if b.CallbackParameters, err = json.Marshal(r.Callback.Parameters); err != nil {
				return nil, fmt.Errorf("%w: the callback's parameters: %w", ErrBadRequest, err)
			}
		}
		if known.Types[b.CallbackJobType] == nil {
			return nil, fmt.Errorf("site %s: %w: %q", r.Site, ErrNoSuchJobType, b.CallbackJobType)
		}
	}
	if err := db.CreateBatch(ctx, b); err != nil {
		return nil, err
	}
	c.changed(r.Site, b)
	return b, nil
}

// CloseBatch has a batch take no more jobs, so that it ends when those that it has have ended. It reports whether it was open.
func (c *Client) CloseBatch(ctx context.Context, site, name, actor string) (bool, error) {
	return c.changeBatch(ctx, site, name, actor, (*rows.DB).CloseBatch)
}

// CancelBatch cancels the jobs of a batch that haven't ended, which a running engine does within seconds; there is no callback.
// It reports whether the batch ran.
func (c *Client) CancelBatch(ctx context.Context, site, name, actor string) (bool, error) {
	return c.changeBatch(ctx, site, name, actor, (*rows.DB).CancelBatch)
}

func (c *Client) changeBatch(ctx context.Context, site, name, actor string, change func(*rows.DB, context.Context, string, string) (bool, error)) (bool, error) {
	db, err := c.sites.DB(ctx, site)
	if err != nil {
		return false, err
	}
	b, err := db.Batch(ctx, name)
	if err != nil {
		return false, err
	}
	changed, err := change(db, ctx, b.Name, actor)
	if changed {
		c.changed(site, b)
	}
	return changed, err
}

// Batch reads a batch, whose counts are at most some seconds old. An unknown name is rows.ErrNoSuchBatch.
func (c *Client) Batch(ctx context.Context, site, name string) (*rows.Batch, error) {
	db, err := c.sites.DB(ctx, site)
	if err != nil {
		return nil, err
	}
	return db.Batch(ctx, name)
}

// Batches reads the newest batches of a site, of an organization unless that is empty; none where the site keeps none.
func (c *Client) Batches(ctx context.Context, site, organization string, limit int) ([]*rows.Batch, error) {
	db, err := c.sites.DB(ctx, site)
	if err != nil {
		return nil, err
	}
	found, err := db.Batches(ctx, organization, limit)
	if errors.Is(err, rows.ErrTableMissing) {
		return nil, nil
	}
	return slices.Clip(found), err
}

// changed tells the desk of a batch that was written.
func (c *connections) changed(site string, b *rows.Batch) {
	c.desk.Publisher.ListUpdate(site, batches.DocType, b.Name)
	c.desk.Publisher.DocUpdate(site, batches.DocType, b.Name, b.ModifiedRaw)
}
