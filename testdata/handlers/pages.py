#!/usr/bin/env python3
"""A handler that is a program: it has each page of a report rendered by a job of its own, and bound by one that waits for this one.

    "bridge": {"handlers": {"report": {"exec": {"command": ["/opt/handlers/pages.py"]}}}}

It may be tried again, after having been killed at any line: under their keys the jobs are made once.
"""

import json
import os
import sys


def say(**report):
    print(json.dumps(report), flush=True)


pages = json.load(sys.stdin)["pages"]
me = os.environ["BRIDGE_JOB_NAME"]
for page in range(1, pages + 1):
    say(submit={"job_type": "render_page", "parameters": {"page": page}, "key": f"page {page} of {me}", "priority": "Low"})
    say(progress=100 * page / pages, message=f"page {page} of {pages}")
say(submit={"job_type": "bind_pages", "depends_on": [me], "key": f"binding of {me}", "run_after": "1s"})
say(result={"pages": pages})
