"""moto's load balancers, of both generations: what is made of them reaches the pools at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

from moto.elb import urls
from moto.elb.models import ELBBackend
from moto.elb.responses import ELBResponse
from moto.elbv2.models import ELBv2Backend
from moto.elbv2.responses import ELBV2Response
from moto.resourcegroupstaggingapi import urls as tagging_urls
from moto.resourcegroupstaggingapi.models import ResourceGroupsTaggingAPIBackend
from moto.resourcegroupstaggingapi.responses import ResourceGroupsTaggingAPIResponse

from region.calls import serve
from region.groups import pool

if TYPE_CHECKING:
    from collections.abc import Callable

    from region.region import Region

# https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateTargetGroup.html
HTTP = ("HTTP", "HTTPS")


class ELBv2(ELBv2Backend):
    """Application and network load balancers, and target groups."""

    home: ClassVar[Region]

    @property
    def _url_module(self) -> Any:
        return _Urls

    def create_target_group(self, name: str, **kwargs: Any) -> Any:
        """A target group, with the defaults of a check by HTTP where moto has none."""
        if kwargs.get("protocol") not in HTTP and kwargs.get("healthcheck_protocol") in HTTP:
            own = {"matcher": {"HttpCode": "200-399"}, "healthcheck_timeout_seconds": 6}
            kwargs |= {key: value for key, value in own.items() if not kwargs.get(key)}
        made = super().create_target_group(name, **kwargs)
        self.home.marks.born(made.arn)
        return made

    def create_load_balancer(self, *args: Any, **kwargs: Any) -> Any:
        """A load balancer."""
        made = super().create_load_balancer(*args, **kwargs)
        self.home.marks.born(made.arn)
        return made

    def delete_target_group(self, target_group_arn: str) -> Any:
        """Without this target group."""
        group = self.target_groups.get(target_group_arn)
        self.home.marks.change(target_group_arn)
        gone = super().delete_target_group(target_group_arn)
        self.home.pools.remove(pool(group))
        return gone

    def delete_load_balancer(self, arn: str) -> None:
        """Without this load balancer."""
        self.home.marks.change(arn)
        super().delete_load_balancer(arn)


class ELB(ELBBackend):
    """Classic load balancers."""

    home: ClassVar[Region]

    @property
    def _url_module(self) -> Any:
        return _Urls

    def create_load_balancer(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """A load balancer."""
        made = super().create_load_balancer(name, *args, **kwargs)
        self.home.marks.born(self.home.marks.arn(name))
        return made

    def delete_load_balancer(self, load_balancer_name: str) -> None:
        """Without this load balancer, if there is one."""
        if own := self.load_balancers.get(load_balancer_name):
            self.home.marks.change(self.home.marks.arn(load_balancer_name))
            self.home.pools.remove(self.home.classic.pool(own))
        super().delete_load_balancer(load_balancer_name)


class Tagging(ResourceGroupsTaggingAPIBackend):
    """The Resource Groups Tagging API, for requests that come over HTTP."""

    home: ClassVar[Region]

    @property
    def _url_module(self) -> Any:
        return _TaggingUrls


class _V2Response(ELBV2Response):
    def call_action(self) -> Any:
        return _answer(cast("ELBv2", self.elbv2_backend).home, self, super().call_action)


class _Response(ELBResponse):
    def call_action(self) -> Any:
        return _answer(cast("ELB", self.elb_backend).home, self, super().call_action)


class _TaggingResponse(ResourceGroupsTaggingAPIResponse):
    def call_action(self) -> Any:
        return serve(cast("Tagging", self.backend).home, self) or super().call_action()


def _answer(home: Region, response: Any, plain: Callable[[], Any]) -> Any:
    answered = serve(home, response) or plain()
    if not response._get_action().startswith("Describe"):
        home.pools.sync_all()
    return answered


def _dispatch(request: Any, *args: Any, **kwargs: Any) -> Any:
    """Both generations are at one address, and known by their version."""
    is_classic = request.values.get("Version") == "2012-06-01"
    return (_Response if is_classic else _V2Response).dispatch(request, *args, **kwargs)


class _Urls:
    """What moto looks for in the modules moto.elb.urls and moto.elbv2.urls."""

    url_bases = urls.url_bases
    url_paths = dict.fromkeys(urls.url_paths, _dispatch)


class _TaggingUrls:
    """What moto looks for in the module moto.resourcegroupstaggingapi.urls."""

    url_bases = tagging_urls.url_bases
    url_paths = dict.fromkeys(tagging_urls.url_paths, _TaggingResponse.dispatch)
