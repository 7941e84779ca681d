package main

// scenarios are run in this order, which is that of the tables.
var scenarios = []scenario{
	{"kills", "bridges killed by kill -9, at random moments and before and after each command that they send; then Python's workers, beside which guard looks, and asynq", kills},
	{"servers_die", "Redis emptied, Redis killed and started empty, MariaDB killed, each under load", serversDie},
	{"frozen", "bridges stopped by SIGSTOP, and continued once their jobs were finished elsewhere", frozen},
	{"soak", "an hour of mixed load with a kill every ten seconds: what grows", soak},
	{"rolling", "bridges restarted one after the other, fifty times, as deploys do", rolling},
	{"depth", "a million jobs of one organization wait: what others notice, and what it takes", depth},
	{"network", "the network cut between a bridge and Redis, MariaDB or both, by dropping packets", network},
	{"sentinel", "the master of a Redis with sentinels killed, silent and replaced, under load", sentinel},
}
