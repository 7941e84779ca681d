package pickle

import "strings"

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
	if m, ok := renamedModules[module]; ok {
		return m, name
	}
	return module, name
}

// renamedModules, related ones on a line.
var renamedModules = map[string]string{
	"BaseHTTPServer": "http.server", "CGIHTTPServer": "http.server", "SimpleHTTPServer": "http.server",
	"Cookie": "http.cookies", "cookielib": "http.cookiejar", "httplib": "http.client",
	"DocXMLRPCServer": "xmlrpc.server", "SimpleXMLRPCServer": "xmlrpc.server", "xmlrpclib": "xmlrpc.client",
	"HTMLParser": "html.parser", "htmlentitydefs": "html.entities", "markupbase": "_markupbase",
	"urllib2": "urllib.request", "urlparse": "urllib.parse", "robotparser": "urllib.robotparser",
	"SocketServer": "socketserver", "Queue": "queue", "ConfigParser": "configparser",
	"StringIO": "io", "cStringIO": "io", "cPickle": "pickle",
	"UserDict": "collections", "UserList": "collections", "UserString": "collections", "_abcoll": "collections.abc",
	"__builtin__": "builtins", "copy_reg": "copyreg", "commands": "subprocess", "repr": "reprlib",
	"anydbm": "dbm", "whichdb": "dbm", "dbhash": "dbm.bsd",
	"dbm": "dbm.ndbm", "dumbdbm": "dbm.dumb", "gdbm": "dbm.gnu",
	"thread": "_thread", "dummy_thread": "_dummy_thread", "_winreg": "winreg",
	"_elementtree": "xml.etree.ElementTree", "test.test_support": "test.support",
	"Tkinter": "tkinter", "Tkconstants": "tkinter.constants", "Tkdnd": "tkinter.dnd", "Tix": "tkinter.tix", "ttk": "tkinter.ttk",
	"Dialog": "tkinter.dialog", "FileDialog": "tkinter.filedialog", "SimpleDialog": "tkinter.simpledialog",
	"ScrolledText": "tkinter.scrolledtext", "tkColorChooser": "tkinter.colorchooser",
	"tkCommonDialog": "tkinter.commondialog", "tkFileDialog": "tkinter.filedialog",
	"tkFont": "tkinter.font", "tkMessageBox": "tkinter.messagebox", "tkSimpleDialog": "tkinter.simpledialog",
}

func init() {
	for _, m := range []struct{ from, to, names string }{ // they kept their names
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
	} {
		for name := range strings.FieldsSeq(m.names) {
			renamedGlobals[Global{m.from, name}] = Global{m.to, name}
		}
	}
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
