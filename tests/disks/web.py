"""Web nodes: nginx on hosts of real disks, whose page says which of them served it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from region.disks.instance import Instance

SLOW = "/slow"
SLOW_SECONDS = 1.0

# Of the slow page four fifths wait for their time.
CONFIGURATION = """
server {
  listen 80 default_server;
  root /var/www/html;
  add_header X-Node $hostname;
  location = /slow { limit_rate 4k; limit_rate_after 1k; }
}
"""


def serve(host: Instance) -> None:
    """Start nginx as Debian's package has it, with a page and one that takes SLOW_SECONDS."""
    host.path("/etc/nginx/sites-available/default").write_text(CONFIGURATION)
    host.call("echo here >/var/www/html/index.html; head -c 5120 /dev/zero >/var/www/html/slow; nginx")
