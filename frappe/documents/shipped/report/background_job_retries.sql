SELECT -- One pass over the jobs that moved, by modified. A job that is tried again by hand counts its retries anew.
  job_type,
  COUNT(*) AS jobs,
  SUM(retry_count) AS retries,
  MAX(retry_count) AS most_retries,
  SUM(status = 'Completed') AS completed,
  SUM(status = 'Dead Letter') AS dead_letters,
  SUM(status NOT IN ('Completed', 'Dead Letter', 'Canceled')) AS still_trying,
  ROUND(100 * SUM(status = 'Completed') / NULLIF(SUM(status IN ('Completed', 'Dead Letter')), 0), 1) AS completed_rate
FROM `tabBackground Job`
WHERE modified >= %(from_date)s AND modified < %(to_date)s + INTERVAL 1 DAY AND retry_count > 0
GROUP BY job_type
ORDER BY retries DESC
