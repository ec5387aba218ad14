"""Whether the service in this container answers: what HEALTHCHECK runs, since the image has no curl."""

import os
import sys
import urllib.request

PORT = os.environ.get("REELPRESS_PORT") or os.environ.get("PORT") or "8001"
NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))

try:
    NO_PROXY.open(f"http://127.0.0.1:{PORT}/health", timeout=3).close()
except OSError as error:
    sys.exit(f"no answer on port {PORT}: {error}")
