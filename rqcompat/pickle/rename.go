package pickle

import (
	"slices"
	"strings"
)

// python3Name gives the name Python 3 has for a global of a protocol 0 to 2 pickle, which writers of Python 2 and
// Python 3 alike put down under its Python 2 name (Lib/_compat_pickle.py, CPython 3.11). Unknown names stay as
// they are.
func python3Name(module, name string) (string, string) {
	if module == "exceptions" { // all its names moved, one of them was dropped
		if name == "StandardError" {
			name = "Exception"
		}
		return "builtins", name
	}
	if g, ok := renamedGlobals[Global{module, name}]; ok {
		return g.Module, g.Name
	}
	for _, m := range movedGlobals {
		if m.from == module && slices.Contains(strings.Fields(m.names), name) {
			return m.to, name
		}
	}
	if m, ok := renamedModules[module]; ok {
		return m, name
	}
	return module, name
}

var renamedModules = map[string]string{
	"BaseHTTPServer":     "http.server",
	"CGIHTTPServer":      "http.server",
	"ConfigParser":       "configparser",
	"Cookie":             "http.cookies",
	"Dialog":             "tkinter.dialog",
	"DocXMLRPCServer":    "xmlrpc.server",
	"FileDialog":         "tkinter.filedialog",
	"HTMLParser":         "html.parser",
	"Queue":              "queue",
	"ScrolledText":       "tkinter.scrolledtext",
	"SimpleDialog":       "tkinter.simpledialog",
	"SimpleHTTPServer":   "http.server",
	"SimpleXMLRPCServer": "xmlrpc.server",
	"SocketServer":       "socketserver",
	"StringIO":           "io",
	"Tix":                "tkinter.tix",
	"Tkconstants":        "tkinter.constants",
	"Tkdnd":              "tkinter.dnd",
	"Tkinter":            "tkinter",
	"UserDict":           "collections",
	"UserList":           "collections",
	"UserString":         "collections",
	"__builtin__":        "builtins",
	"_abcoll":            "collections.abc",
	"_elementtree":       "xml.etree.ElementTree",
	"_winreg":            "winreg",
	"anydbm":             "dbm",
	"cPickle":            "pickle",
	"cStringIO":          "io",
	"commands":           "subprocess",
	"cookielib":          "http.cookiejar",
	"copy_reg":           "copyreg",
	"dbhash":             "dbm.bsd",
	"dbm":                "dbm.ndbm",
	"dumbdbm":            "dbm.dumb",
	"dummy_thread":       "_dummy_thread",
	"gdbm":               "dbm.gnu",
	"htmlentitydefs":     "html.entities",
	"httplib":            "http.client",
	"markupbase":         "_markupbase",
	"repr":               "reprlib",
	"robotparser":        "urllib.robotparser",
	"test.test_support":  "test.support",
	"thread":             "_thread",
	"tkColorChooser":     "tkinter.colorchooser",
	"tkCommonDialog":     "tkinter.commondialog",
	"tkFileDialog":       "tkinter.filedialog",
	"tkFont":             "tkinter.font",
	"tkMessageBox":       "tkinter.messagebox",
	"tkSimpleDialog":     "tkinter.simpledialog",
	"ttk":                "tkinter.ttk",
	"urllib2":            "urllib.request",
	"urlparse":           "urllib.parse",
	"whichdb":            "dbm",
	"xmlrpclib":          "xmlrpc.client",
}

// movedGlobals kept their names.
var movedGlobals = []struct{ from, to, names string }{
	{"__builtin__", "sys", "intern"},
	{"__builtin__", "functools", "reduce"},
	{"_multiprocessing", "multiprocessing.connection", "Connection"},
	{"_socket", "socket", "fromfd"},
	{"multiprocessing", "multiprocessing.context", "AuthenticationError BufferTooShort ProcessError TimeoutError"},
	{"multiprocessing.forking", "multiprocessing.popen_fork", "Popen"},
	{"multiprocessing.process", "multiprocessing.context", "Process"},
	{"urllib", "urllib.error", "ContentTooShortError"},
	{"urllib", "urllib.request", "getproxies pathname2url url2pathname urlcleanup urlopen urlretrieve"},
	{"urllib", "urllib.parse", "quote quote_plus unquote unquote_plus urlencode"},
	{"urllib2", "urllib.error", "HTTPError URLError"},
}

var renamedGlobals = map[Global]Global{
	{"UserDict", "IterableUserDict"}: {"collections", "UserDict"},
	{"__builtin__", "basestring"}:    {"builtins", "str"},
	{"__builtin__", "long"}:          {"builtins", "int"},
	{"__builtin__", "unichr"}:        {"builtins", "chr"},
	{"__builtin__", "unicode"}:       {"builtins", "str"},
	{"__builtin__", "xrange"}:        {"builtins", "range"},
	{"itertools", "ifilter"}:         {"builtins", "filter"},
	{"itertools", "ifilterfalse"}:    {"itertools", "filterfalse"},
	{"itertools", "imap"}:            {"builtins", "map"},
	{"itertools", "izip"}:            {"builtins", "zip"},
	{"itertools", "izip_longest"}:    {"itertools", "zip_longest"},
	{"socket", "_socketobject"}:      {"socket", "SocketType"},
}
