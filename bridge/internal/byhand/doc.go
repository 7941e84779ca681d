// Package byhand makes the document an API: whoever may write a Background Job, in the desk, by REST or in code of the
// site's, submits a job by inserting one, cancels it by its status Canceled and has it tried again by the status Queued.
// Who may has Frappe judged by its permissions, at the save. Anything else that somebody does to a row's state is undone.
//
//	a save ──► events (redis_queue) ──► Hear ─┐
//	                                          ├─► a lane per site ──► judge ──► moves, as if an engine or a Client made them
//	SQL, imports, a Redis that was away ► Look┘
//
// A row that has to wait before it is delivered stays Pending; who knows that its time has come has it looked at again, as the end
// of a job does with those that depend on it (release.go).
//
// What the engine itself did to a row its log has, in the same transaction. So the newest log row tells in which state the
// row was before somebody wrote another one into it, and a row whose log has its state needs nothing. A row that was
// handled is compared by its `modified`: of several bridges that hear of the same change one makes the move.
package byhand
