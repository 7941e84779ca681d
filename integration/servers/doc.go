// Package servers starts the throw-away servers that tests, benchmarks and the demo run against: redis-server,
// mariadbd and the Node realtime server, each a private child process on a free loopback port with its files in a
// temporary directory of its own. It also prepares what such a run needs beside a server: a bench directory, a site
// that answers the realtime server, Python environments with one RQ version each, and programs that run beside.
//
// Promise: a returned server answers; nobody else's server is mistaken for it. Stop ends it and removes its files.
// When the starting process dies, however it dies, its servers die with it and their directories are removed.
//
// Failure: a missing program is [ErrNotInstalled], with the Debian package to install. A server that does not come up
// is reported with the end of its own log.
//
// What is expensive to make (an initialised MariaDB data directory, Python environments, Node modules) is made once
// and kept under [CacheDir]; any number of processes may ask for it at the same time.
package servers
