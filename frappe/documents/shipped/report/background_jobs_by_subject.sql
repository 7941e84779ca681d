WITH -- One pass over the jobs that ended, by modified, into buckets of durations that are 5 percent apart: a few hundred rows,
-- whatever the number of jobs, from which the rest is worked out. p95 is the longest duration in the bucket that it falls
-- into: exact for few jobs, at most 5 percent too long for many.
bucket AS (
  SELECT {subject}, status,
    IF(status = 'Completed', FLOOR(LN(GREATEST(TIMESTAMPDIFF(MICROSECOND, started_at, completed_at), 1)) / LN(1.05)), NULL) AS class,
    COUNT(*) AS jobs,
    SUM(TIMESTAMPDIFF(MICROSECOND, started_at, completed_at)) / 1000000 AS total,
    MAX(TIMESTAMPDIFF(MICROSECOND, started_at, completed_at)) / 1000000 AS longest
  FROM `tabBackground Job`
  WHERE status IN ('Completed', 'Dead Letter', 'Failed', 'Timed Out', 'Canceled')
    AND modified >= %(from_date)s AND modified < %(to_date)s + INTERVAL 1 DAY
  GROUP BY {subject}, status, class
), ranked AS (
  SELECT bucket.*,
    SUM(jobs) OVER (PARTITION BY {subject}, status ORDER BY class) AS up_to,
    SUM(jobs) OVER (PARTITION BY {subject}, status) AS of_all
  FROM bucket
)
SELECT {subject},
  SUM(jobs) AS jobs,
  SUM(IF(status = 'Completed', jobs, 0)) AS completed,
  SUM(IF(status IN ('Dead Letter', 'Failed', 'Timed Out'), jobs, 0)) AS failed,
  SUM(IF(status = 'Canceled', jobs, 0)) AS canceled,
  ROUND(100 * SUM(IF(status IN ('Dead Letter', 'Failed', 'Timed Out'), jobs, 0)) / NULLIF(SUM(IF(status = 'Canceled', 0, jobs)), 0), 1) AS failure_rate,
  ROUND(SUM(IF(status = 'Completed', total, 0)) / NULLIF(SUM(IF(status = 'Completed', jobs, 0)), 0), 1) AS average,
  ROUND(MIN(IF(status = 'Completed' AND up_to >= 0.95 * of_all, longest, NULL)), 1) AS p95,
  ROUND(MAX(IF(status = 'Completed', longest, NULL)), 1) AS longest
FROM ranked
GROUP BY {subject}
ORDER BY jobs DESC
