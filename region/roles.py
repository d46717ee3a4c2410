"""Roles and what they may do: created through the API, and read for the region's own judgement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from region import policies
from region.bus import ACCOUNT
from region.parameters import only
from region.stacks import Made, Stack

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def role(stack: Stack, name: str, given: Mapping[str, Any]) -> Made:
    """AWS::IAM::Role, with its own policies and those of AWS."""
    only(given, "RoleName AssumeRolePolicyDocument Policies ManagedPolicyArns Path Description Tags", name)
    made_name = given.get("RoleName") or stack.physical(name)
    plain = {key: given[key] for key in ("AssumeRolePolicyDocument", "Path", "Description", "Tags") if key in given}
    made = stack.call("iam", "CreateRole", RoleName=made_name, **plain)["Role"]
    for own in given.get("Policies", []):
        put_policy(stack, made_name, own["PolicyName"], own["PolicyDocument"])
    for arn in given.get("ManagedPolicyArns", []):
        _attach(stack, made_name, arn)
    return Made(made_name, {"Arn": made["Arn"], "RoleId": made["RoleId"]})


def policy(stack: Stack, name: str, given: Mapping[str, Any]) -> Made:
    """AWS::IAM::Policy, which belongs to the roles that it names."""
    only(given, "PolicyName PolicyDocument Roles", name)
    for role_name in given["Roles"]:
        put_policy(stack, role_name, given["PolicyName"], given["PolicyDocument"])
    return Made(given["PolicyName"])


def managed_policy(stack: Stack, name: str, given: Mapping[str, Any]) -> Made:
    """AWS::IAM::ManagedPolicy, attached to the roles that it names."""
    only(given, "ManagedPolicyName Description Path PolicyDocument Roles", name)
    statements = policies.read(given["PolicyDocument"])
    made_name = given.get("ManagedPolicyName") or stack.physical(name)
    plain = {key: given[key] for key in ("Description", "Path", "PolicyDocument") if key in given}
    arn = stack.call("iam", "CreatePolicy", PolicyName=made_name, **plain)["Policy"]["Arn"]
    for role_name in given.get("Roles", []):
        stack.call("iam", "AttachRolePolicy", RoleName=role_name, PolicyArn=arn)
        _know(stack, role_name, statements)
    return Made(arn, {"PolicyArn": arn})


def instance_profile(stack: Stack, name: str, given: Mapping[str, Any]) -> Made:
    """AWS::IAM::InstanceProfile."""
    only(given, "InstanceProfileName Path Roles", name)
    profile = given.get("InstanceProfileName") or stack.physical(name)
    made = stack.call("iam", "CreateInstanceProfile", InstanceProfileName=profile)["InstanceProfile"]
    for role_name in given["Roles"]:
        stack.call("iam", "AddRoleToInstanceProfile", InstanceProfileName=profile, RoleName=role_name)
    return Made(profile, {"Arn": made["Arn"]})


def put_policy(stack: Stack, role_name: str, name: str, document: Mapping[str, Any]) -> None:
    """Give a role a policy. Raises PolicyError for one that this region could not judge by."""
    statements = policies.read(document)
    stack.call("iam", "PutRolePolicy", RoleName=role_name, PolicyName=name, PolicyDocument=document)
    _know(stack, role_name, statements)


def _know(stack: Stack, role_name: str, statements: Sequence[policies.Statement]) -> None:
    known, arn = stack.region.bus.roles, f"arn:aws:iam::{ACCOUNT}:role/{role_name}"
    known[arn] = (*known.get(arn, ()), *statements)


def _attach(stack: Stack, role_name: str, arn: str) -> None:
    """AWS's own policies are not in moto; one of the same name stands for each."""
    name = arn.rsplit("/", 1)[-1]
    own = f"arn:aws:iam::{ACCOUNT}:policy/{name}"
    if own not in [known["Arn"] for known in stack.client("iam").list_policies(Scope="Local")["Policies"]]:
        statement = {"Effect": "Allow", "Action": "sts:GetCallerIdentity", "Resource": "*"}
        document = {"Version": "2012-10-17", "Statement": [statement]}
        stack.call("iam", "CreatePolicy", PolicyName=name, PolicyDocument=document)
    stack.call("iam", "AttachRolePolicy", RoleName=role_name, PolicyArn=own)
