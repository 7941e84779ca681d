// Package submit makes Background Jobs of requests: the one way on which a Go program, the command line, a running handler
// and a program that reports on a line of JSON submit.
//
//	request ──► names as the site's database spells them, the Job Type's defaults ──► policy: may it be? has it to wait?
//	        ──► row and log in one transaction ──► after COMMIT its delivery, or the row is taken back ──► observers
//
// Many requests share queries, transactions and round trips, and each has an answer of its own. What people write into rows
// themselves is package byhand's: there the row is first.
package submit
