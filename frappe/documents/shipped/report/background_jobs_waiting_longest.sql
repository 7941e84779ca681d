SELECT -- The first hundred of each status by an index each. A job waits since its last move: a retry doesn't wait since the
-- beginning of the job.
  name, job_type, organization, status, priority, waiting_since, owner_user, depends_on, retry_count
FROM (
  (SELECT name, job_type, organization, status, priority, modified AS waiting_since, owner_user, depends_on, retry_count
   FROM `tabBackground Job` WHERE status = 'Pending' ORDER BY modified LIMIT 100)
  UNION ALL
  (SELECT name, job_type, organization, status, priority, modified AS waiting_since, owner_user, depends_on, retry_count
   FROM `tabBackground Job` WHERE status = 'Queued' ORDER BY modified LIMIT 100)
) AS waiting
ORDER BY waiting_since
LIMIT 100
