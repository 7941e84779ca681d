-- A function for scripts that write whole worker records: --@include worker_record.lua
--
-- write_worker(key, at, ...) writes the record of a worker and registers it. Its 7 values stand in ARGV from at on
-- (worker.go, record); further fields and values follow as arguments. The caller sets the expiry.
--
-- Stands for rq/worker.py register_birth and rq/worker_registration.py register.
local function write_worker(key, at, ...)
  local birth, queues, pid, hostname, ip_address, version, python_version = unpack(ARGV, at, at + 6)
  call('HSET', key, 'birth', birth, 'queues', queues, 'pid', pid, 'hostname', hostname, 'ip_address', ip_address,
    'version', version, 'python_version', python_version, ...)
  call('SADD', 'rq:workers', key)
  for queue in string.gmatch(queues, '[^,]+') do
    call('SADD', 'rq:workers:' .. queue, key)
  end
end
