package documents

import (
	"crypto/sha256"
	"encoding/csv"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// ofTranslations makes the documents of shipped/translation, where each language has a file as Frappe's apps have them: a
// line for a text and what it is in that language. Frappe's own texts aren't among them, since a Translation counts for the
// whole desk.
func ofTranslations(files fs.FS) ([]Document, error) {
	found, err := fs.Glob(files, "shipped/translation/*.csv")
	if err != nil {
		return nil, err
	}
	var all []Document
	for _, file := range found {
		language := strings.TrimSuffix(path.Base(file), ".csv")
		lines, err := translationLines(files, file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", strings.TrimPrefix(file, "shipped/"), err)
		}
		for _, line := range lines {
			name := fmt.Sprintf("%s-%x", language, sha256.Sum256([]byte(line[0])))[:len(language)+11]
			all = append(all, Document{Kind: "translation", DocType: "Translation", Name: name, Fields: map[string]any{
				"doctype": "Translation", "name": name, "language": language, "source_text": line[0], "translated_text": line[1]}})
		}
	}
	return all, nil
}

func translationLines(files fs.FS, file string) ([][]string, error) {
	text, err := files.Open(file)
	if err != nil {
		return nil, err
	}
	defer text.Close()
	reader := csv.NewReader(text)
	reader.FieldsPerRecord = 2
	return reader.ReadAll()
}
