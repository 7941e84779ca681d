"""A handler of the bridge in Python: parameters come as JSON on stdin, progress and result go as JSON lines to stdout."""

import json
import os
import sys
import time

parameters = json.load(sys.stdin)
steps = parameters.get("steps", 5)


def tell(**line):
	print(json.dumps(line), flush=True)


for step in range(1, steps + 1):
	time.sleep(parameters.get("seconds", 4) / steps)
	tell(progress=100 * step / steps, message=f"{parameters.get('what', 'Page')} {step} of {steps}")

tell(output=f"/files/{os.environ['BRIDGE_JOB_NAME'] or 'result'}.pdf")
tell(result={"made": steps, "attempt": int(os.environ["BRIDGE_ATTEMPT"])})
