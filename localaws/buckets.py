"""The properties of AWS::S3::Bucket that ministack's CloudFormation drops, set through S3's own operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

from ministack.services import s3
from ministack.services.cloudformation import provisioners

from localaws.overlay import register, replace

Properties = dict[str, Any]

FROM_MINISTACK = {
    "BucketName",
    "CorsConfiguration",
    "NotificationConfiguration",
    "PublicAccessBlockConfiguration",
    "VersioningConfiguration",
    "WebsiteConfiguration",
}
"""Properties that ministack applies itself."""


def _document(root: str, content: Any) -> bytes:
    """An XML document from nested dicts; a list repeats its element."""

    def fill(parent: ElementTree.Element, inner: Any) -> None:
        if not isinstance(inner, dict):
            parent.text = str(inner).lower() if isinstance(inner, bool) else str(inner)
            return
        for name, value in inner.items():
            for one in value if isinstance(value, list) else [value]:
                fill(ElementTree.SubElement(parent, name), one)

    element = ElementTree.Element(root)
    fill(element, content)
    return ElementTree.tostring(element)


def _encryption(setting: Properties) -> bytes:
    rules = [
        {"ApplyServerSideEncryptionByDefault": rule["ServerSideEncryptionByDefault"]}
        for rule in setting["ServerSideEncryptionConfiguration"]
    ]
    return _document("ServerSideEncryptionConfiguration", {"Rule": rules})


def _ownership(setting: Properties) -> bytes:
    return _document("OwnershipControls", {"Rule": setting["Rules"]})


def _tags(setting: list[dict[str, str]]) -> bytes:
    return _document("Tagging", {"TagSet": {"Tag": setting}})


def _lifecycle_rule(rule: Properties) -> Properties:
    """A template's lifecycle rule as S3's API has it.

    Raises:
        ValueError: for a setting that is not handled.
    """
    settings = dict(rule)
    expiration = {
        ours: settings.pop(theirs)
        for theirs, ours in (("ExpirationInDays", "Days"), ("ExpiredObjectDeleteMarker", "ExpiredObjectDeleteMarker"))
        if theirs in settings
    }
    transitions = [
        {"Days": transition["TransitionInDays"], "StorageClass": transition["StorageClass"]}
        for transition in settings.pop("Transitions", [])
    ]
    converted = {
        "ID": settings.pop("Id"),
        "Filter": {"Prefix": settings.pop("Prefix", "")},
        "Status": settings.pop("Status"),
        **({"Expiration": expiration} if expiration else {}),
        **({"Transition": transitions} if transitions else {}),
    }
    for same in ("NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload"):
        if same in settings:
            converted[same] = settings.pop(same)
    if settings:
        raise ValueError(f"localaws cannot set {', '.join(sorted(settings))} of a bucket's lifecycle rule")
    return converted


def _lifecycle(setting: Properties) -> bytes:
    return _document("LifecycleConfiguration", {"Rule": [_lifecycle_rule(rule) for rule in setting["Rules"]]})


Put = Callable[[str, bytes], tuple[int, Any, Any]]
Delete = Callable[[str], Any]

CONFIGURATIONS: dict[str, tuple[Callable[[Any], bytes], Put, Delete]] = {
    "BucketEncryption": (_encryption, s3._put_bucket_encryption, s3._delete_bucket_encryption),
    "LifecycleConfiguration": (_lifecycle, s3._put_bucket_lifecycle, s3._delete_bucket_lifecycle),
    "OwnershipControls": (_ownership, s3._put_bucket_ownership_controls, s3._delete_bucket_ownership_controls),
    "Tags": (_tags, s3._put_bucket_tagging, s3._delete_bucket_tagging),
}
"""Property to the request body it becomes, and the operations that set and remove it."""


def _refusal(body: bytes) -> str:
    problem = ElementTree.fromstring(body)  # noqa: S314 - written by this process
    return f"{problem.findtext('.//Code')}: {problem.findtext('.//Message')}"


def apply(name: str, properties: Properties, old: Properties | None = None) -> None:
    """Set what ministack does not, and remove what an update dropped.

    Raises:
        ValueError: for a property that nobody handles, or that S3 refuses.
    """
    if unknown := sorted(properties.keys() - FROM_MINISTACK - CONFIGURATIONS.keys()):
        raise ValueError(f"localaws cannot set {', '.join(unknown)} of AWS::S3::Bucket")
    for property_name, (to_body, put, delete) in CONFIGURATIONS.items():
        if property_name in properties:
            status, _headers, body = put(name, to_body(properties[property_name]))
            if status >= 400:
                raise ValueError(_refusal(body))
        elif old and property_name in old:
            delete(name)


def delete(name: str, _properties: Properties) -> None:
    """Delete a bucket and its files on disk; one that is already gone is fine.

    Raises:
        ValueError: when it holds objects or versions, which is how a stack keeps data from being lost.
    """
    status, _headers, body = s3._delete_bucket(name)
    if status >= 400 and b"NoSuchBucket" not in body:
        raise ValueError(f"{_refusal(body)} (Bucket: {name})")


def install() -> None:
    """Apply all of a bucket's properties, delete it really, and say of objects how they are encrypted.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/default-encryption-faq.html
    """
    module = provisioners.__name__
    theirs = provisioners._s3_apply_configurations

    def apply_all(name: str, properties: Properties, old_props: Properties | None = None) -> None:
        theirs(name, properties, old_props)
        apply(name, properties, old_props)

    replace(module, "_s3_apply_configurations", apply_all)

    def default_encryption(bucket: str) -> dict[str, str]:
        return configured(bucket) or {"x-amz-server-side-encryption": "AES256"}

    configured = replace(s3.__name__, "_bucket_default_sse_headers", default_encryption)
    handler = provisioners._RESOURCE_HANDLERS["AWS::S3::Bucket"]
    register(module, "_RESOURCE_HANDLERS", "AWS::S3::Bucket", {**handler, "delete": delete}, existing=True)
    register(module, "_STACK_TAG_PROPERTY", "AWS::S3::Bucket", ("Tags", "list"))
