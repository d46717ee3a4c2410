"""`python -m region`: the region on a port of this machine, with the project and an application deployed in it."""

from __future__ import annotations

import argparse
import json
import re
import signal
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from region.region import Region
from region.simulated import Simulated

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).parents[1]
USAGE = """\
The region answers at {url} until you press Ctrl-C. In it: {application}, and Watchkeeper as it is deployed.

  export AWS_ENDPOINT_URL={url} AWS_DEFAULT_REGION={region} AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any
  aws ec2 describe-volumes --filters Name=tag-key,Values=watchkeeper:application
  aws lambda invoke --function-name {function} /dev/stdout
"""
SAM_LOCAL = """\
With Docker, from the repository, after make build:

  .venv/sam/bin/sam local invoke SnapshotDatabaseFunction --event events/snapshot_database.json --env-vars {file}
"""


def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m region", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="the address to serve on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=5566, help="0 is any free one (default: %(default)s)")
    parser.add_argument("--env-vars", type=Path, metavar="FILE", help="write a file for sam local --env-vars")
    arguments = parser.parse_args()
    stopped: list[int] = []
    with Region(Simulated(), real_time=True) as region:

        def stop(number: int, _: object) -> None:
            stopped.append(number)
            region.clock.post(lambda: None)  # wakes the clock

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)
        region.deploy(ROOT / "template.yaml")
        application = region.deploy(ROOT / "examples/smallpayroll.yaml")
        region.deploy(ROOT / "examples/smallpayroll_web.yaml")
        server = make_server(
            arguments.host, arguments.port, _InThisRegion(region.name), threaded=True, request_handler=_Quiet
        )
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://{arguments.host}:{server.server_port}"
        _tell(region, url, application["DatabaseHost"], arguments.env_vars)
        region.run(until=lambda: bool(stopped))
        server.shutdown()


def _tell(region: Region, url: str, host: str, env_vars: Path | None) -> None:
    function = region.functions.find("show_status").name
    application = f"smallpayroll on {host}"
    print(USAGE.format(url=url, region=region.name, function=function, application=application), flush=True)
    if env_vars:
        functions = region.functions.deployed.values()
        # From within a container loopback is the container; Docker Desktop has a name for this machine.
        reached = url.replace("127.0.0.1", "host.docker.internal")
        names = {region.stacks.logical(one.name): {**one.environment, "AWS_ENDPOINT_URL": reached} for one in functions}
        env_vars.parent.mkdir(parents=True, exist_ok=True)
        # Whoever waits for the file finds it whole.
        env_vars.with_suffix(".new").write_text(json.dumps(names, indent=2) + "\n")
        env_vars.with_suffix(".new").replace(env_vars)
        print(SAM_LOCAL.format(file=env_vars), flush=True)


class _InThisRegion:
    """moto's server, where every request is for the one region that there is, whatever region the client is set to."""

    def __init__(self, name: str) -> None:
        self._application = DomainDispatcherApplication(create_backend_app)
        self._name = name

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        scope = r"(Credential=[^/]+/\d+/)[a-z0-9-]+/"
        signed = environ.get("HTTP_AUTHORIZATION", "")
        environ["HTTP_AUTHORIZATION"] = re.sub(scope, rf"\g<1>{self._name}/", signed)
        answer: Iterable[bytes] = self._application(environ, start_response)
        return answer


class _Quiet(MotoRequestHandler):
    """Requests are not logged: what a person looks for is what they typed."""

    def log_request(self, *_: Any) -> None:
        """Nothing."""


if __name__ == "__main__":
    main()
