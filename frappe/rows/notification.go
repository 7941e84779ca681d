package rows

import (
	"context"
	"database/sql"
	"html"
	"slices"
	"strconv"
	"strings"
)

const (
	tableNotificationLog      = "tabNotification Log"
	tableNotificationSettings = "tabNotification Settings"
	tableTranslation          = "tabTranslation"
	tableUser                 = "tabUser"
)

// Notification is an entry of Frappe's Notification Log, which the desk's bell lists: what make_notification_logs inserts
// (desk/doctype/notification_log/notification_log.py, 15.41 to 17) for type Alert, of which no e-mail is sent.
type Notification struct {
	User string // who hears of it
	// Text is what it says, with {0}, {1} … for Args, which are plain text; the first stands out. The site's own Translation
	// into the user's language is taken, where there is one.
	Text string
	Args []string
	// Doctype and Name are the document that a click opens; Link is a path of the desk that goes before them.
	Doctype, Name, Link string
}

var notificationColumns = []string{
	"name", "creation", "modified", "owner", "modified_by", "for_user", "from_user", "type", "subject", "document_type", "document_name", "link",
}

// Notify writes notifications, all or none, for those users that are enabled and haven't turned theirs off, and names these:
// they get the event "notification". ErrTableMissing if the site has no such log.
func (d *DB) Notify(ctx context.Context, ns []Notification) (told []string, err error) {
	t, err := d.tables.get(ctx, tableNotificationLog)
	if err != nil || len(ns) == 0 {
		return nil, err
	}
	languages, err := d.notified(ctx, ns)
	if err != nil {
		return nil, err
	}
	ns = slices.DeleteFunc(slices.Clone(ns), func(n Notification) bool { _, hears := languages[n.User]; return !hears })
	translated, err := d.translations(ctx, ns)
	if err != nil || len(ns) == 0 {
		return nil, err
	}
	now := d.Now()
	names, at := hashNames(now, len(ns)), formatTime(now, d.Location())
	lines := make([][]any, len(ns))
	for i, n := range ns {
		subject := n.subject(translated[translation{languages[n.User], n.Text}])
		for j, text := range []string{names[i], at, at, systemUser(""), systemUser(""), n.User, systemUser(""), "Alert", subject, n.Doctype, n.Name, n.Link} {
			fitted, _ := t.columns[notificationColumns[j]].fit(text)
			lines[i] = append(lines[i], nullable(fitted))
		}
		told = append(told, n.User)
	}
	slices.Sort(told)
	told = slices.Compact(told)
	settings, err := d.tables.has(ctx, tableNotificationSettings)
	if err != nil {
		return nil, err
	}
	err = d.retry(ctx, "write notifications", func(ctx context.Context) error {
		return d.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
			if err := insertOnce(ctx, tx, tableNotificationLog, notificationColumns, lines); err != nil || !settings {
				return err
			}
			_, err := tx.ExecContext(ctx, "UPDATE `"+tableNotificationSettings+"` SET `seen`=0 WHERE `seen`=1 AND `name` IN ("+marks(len(told))+")", anys(told)...)
			return err
		})
	})
	return told, d.tables.notice(err)
}

// subject is the notification as the desk shows it, which is HTML. text is its translation, "" for none.
func (n Notification) subject(text string) string {
	if text == "" {
		text = n.Text
	}
	var pairs []string
	for i, arg := range n.Args {
		arg = html.EscapeString(Data(arg))
		if i == 0 {
			arg = `<b class="subject-title">` + arg + `</b>`
		}
		pairs = append(pairs, "{"+strconv.Itoa(i)+"}", arg)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// notified finds who of them hears of it, each with his language, the site's if he has none.
func (d *DB) notified(ctx context.Context, ns []Notification) (map[string]string, error) {
	t, err := d.tables.get(ctx, tableUser)
	if err != nil {
		return nil, err
	}
	var users []string
	for _, n := range ns {
		if isName(n.User) {
			users = append(users, n.User)
		}
	}
	slices.Sort(users)
	users = slices.Compact(users)
	language, off := "''", ""
	if t.has("language") {
		language = "COALESCE(NULLIF(u.`language`,''),(SELECT `value` FROM `tabSingles` WHERE `doctype`='System Settings' AND `field`='language' LIMIT 1),'')"
	}
	if has, err := d.tables.has(ctx, tableNotificationSettings); err != nil {
		return nil, err
	} else if has {
		off = " AND NOT EXISTS (SELECT 1 FROM `" + tableNotificationSettings + "` s WHERE s.`name`=u.`name` AND s.`enabled`=0)"
	}
	type hearer struct {
		Name     string `db:"name"`
		Language string `db:"language"`
	}
	languages := map[string]string{}
	return languages, inChunks(users, func(chunk []string) error {
		found, err := selectAll[hearer](ctx, &d.conn, "read who is notified", "SELECT u.`name` AS name,"+language+" AS language FROM `"+tableUser+
			"` u WHERE u.`enabled`=1 AND u.`name`<>'Guest' AND u.`name` IN ("+marks(len(chunk))+")"+off, anys(chunk)...)
		for _, h := range found {
			languages[h.Name] = h.Language
		}
		return d.tables.notice(err)
	})
}

// translation is a text in a language.
type translation struct{ language, text string }

// translations are the site's own of what the notifications say.
func (d *DB) translations(ctx context.Context, ns []Notification) (map[translation]string, error) {
	has, err := d.tables.has(ctx, tableTranslation)
	if err != nil || !has {
		return nil, err
	}
	var texts []string
	for _, n := range ns {
		if !slices.Contains(texts, n.Text) {
			texts = append(texts, n.Text)
		}
	}
	type line struct {
		Language string `db:"language"`
		Source   string `db:"source_text"`
		Text     string `db:"translated_text"`
	}
	translated := map[translation]string{}
	return translated, inChunks(texts, func(chunk []string) error {
		found, err := selectAll[line](ctx, &d.conn, "read translations", "SELECT COALESCE(`language`,'') AS language,`source_text`,COALESCE(`translated_text`,'') AS translated_text FROM `"+
			tableTranslation+"` WHERE `source_text` IN ("+marks(len(chunk))+")", anys(chunk)...)
		for _, l := range found {
			translated[translation{l.Language, l.Source}] = l.Text
		}
		return d.tables.notice(err)
	})
}
