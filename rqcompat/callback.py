# Calls a callback of a job that ended elsewhere. The hash of this job has what that was, see lua/hand_over.lua.
import sys
from base64 import b64decode

from rq import get_current_job
from rq.utils import import_attribute

me = get_current_job()
fields = {name.decode(errors="replace"): value for name, value in me.connection.hgetall(me.key).items()}
job = type(me)(fields["bridge_of"].decode(), connection=me.connection, serializer=me.serializer)
job.restore({name[3:]: value for name, value in fields.items() if name.startswith("of ")})
kind, payload = fields["bridge_callback"].decode(), fields["bridge_payload"]

if kind == "success":
    job.success_callback(job, me.connection, me.serializer.loads(b64decode(payload)) if payload else None)
elif kind == "stopped":
    job.stopped_callback(job, me.connection)
else:
    name = fields["bridge_class"].decode()
    module, _, short = name.rpartition(".")
    if module.startswith("rq."):
        error = import_attribute(name)
    else:
        error = type(short, (RuntimeError,), {"__module__": module})
    try:
        raise error(fields["bridge_message"].decode(errors="replace"))
    except error:
        job.failure_callback(job, me.connection, *sys.exc_info())
