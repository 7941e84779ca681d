WITH RECURSIVE -- One pass over the jobs that ended, by status and modified; hours without a job are there too, up to
-- the last move of any if that is of these days. At most 31 days: MariaDB ends a recursion after 1,000 steps without a word.
hours AS (
  SELECT GREATEST(CAST(%(from_date)s AS DATETIME), CAST(%(to_date)s AS DATETIME) - INTERVAL 30 DAY) AS hour
  UNION ALL
  SELECT hour + INTERVAL 1 HOUR FROM hours
  WHERE hour + INTERVAL 1 HOUR < CAST(%(to_date)s AS DATETIME) + INTERVAL 1 DAY
    AND hour + INTERVAL 1 HOUR <= COALESCE((SELECT MAX(modified) FROM `tabBackground Job` WHERE modified > %(from_date)s), %(to_date)s + INTERVAL 1 DAY)
), ended AS (
  SELECT CAST(CONCAT(LEFT(modified, 13), ':00:00') AS DATETIME) AS hour,
    SUM(status = 'Completed') AS completed,
    SUM(status IN ('Dead Letter', 'Failed', 'Timed Out')) AS failed,
    SUM(status = 'Canceled') AS canceled
  FROM `tabBackground Job`
  WHERE status IN ('Completed', 'Dead Letter', 'Failed', 'Timed Out', 'Canceled')
    AND modified >= GREATEST(%(from_date)s, %(to_date)s - INTERVAL 30 DAY) AND modified < %(to_date)s + INTERVAL 1 DAY
  GROUP BY LEFT(modified, 13)
)
SELECT LEFT(hours.hour, 16) AS hour,
  COALESCE(completed, 0) AS completed,
  COALESCE(failed, 0) AS failed,
  COALESCE(canceled, 0) AS canceled,
  ROUND(100 * failed / NULLIF(completed + failed, 0), 1) AS failure_rate
FROM hours LEFT JOIN ended ON ended.hour = hours.hour
ORDER BY hours.hour
