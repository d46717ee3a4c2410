"""Web nodes: nginx on hosts of real disks, with a page that says which of them served it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from region.disks.instance import Instance

SLOW = "/slow.html"
SLOW_SECONDS = 1.0

CONFIGURATION = """
server {
  listen 80 default_server;
  root /var/www/html;
  location = /slow.html { limit_rate 2k; limit_rate_after 1k; }
}
"""


def serve(host: Instance) -> None:
    """Have nginx serve, besides its page, one that takes SLOW_SECONDS."""
    host.path("/etc/nginx/sites-available/default").write_text(CONFIGURATION)
    host.call("cd /var/www/html; hostname >index.html; { hostname; head -c 3072 /dev/zero | tr '\\0' ' '; } >slow.html")
    host.call("nginx -s reload 2>/dev/null || nginx")
