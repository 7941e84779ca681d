package setup

import "strings"

// Difference is which lines were taken from the old text and which came in the new one, each with - or + before it.
func Difference(old, fresh string) []string {
	a, b := strings.Split(old, "\n"), strings.Split(fresh, "\n")
	if len(a) > 1000 {
		return []string{"- (a text of more than a thousand lines)"}
	}
	common := make([][]int, len(a)+1) // length of the longest common rest of a[i:] and b[j:]
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var lines []string
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			lines = append(lines, "- "+a[i])
			i++
		default:
			lines = append(lines, "+ "+b[j])
			j++
		}
	}
	return lines
}
