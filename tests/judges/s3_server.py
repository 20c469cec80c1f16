"""An S3 server with one bucket, `archive`, for tests: moto, whose signatures botocore computes.

Every request must be signed. Says one line of JSON: `url` and `keys`, each `[id, secret]`: `writer` may
write in the bucket, `stranger` nothing, `owner` everything. Then answers each line of its input with one of JSON:

    objects            {NAME: {"bytes": …, "sha256": …, "parts": … or null}}
    uploads            the names of uploads that are neither finished nor aborted
    get NAME           the object's contents, in base64

Ends with its input. Reachable on a loopback port by everybody on this machine.
"""

import base64
import hashlib
import json
import logging
import os
import sys

# Read when moto is imported: not even the first request goes unsigned.
os.environ["INITIAL_NO_AUTH_ACTION_COUNT"] = "0"

from moto.core import DEFAULT_ACCOUNT_ID  # noqa: E402
from moto.iam.models import iam_backends  # noqa: E402
from moto.moto_server.threaded_moto_server import ThreadedMotoServer  # noqa: E402
from moto.s3.models import s3_backends  # noqa: E402

BUCKET = "archive"
REGION = "us-east-1"
# Who may do what; the writer what docs/retention.md says that a key needs.
USERS = {
    "writer": (["s3:PutObject", "s3:AbortMultipartUpload"], f"arn:aws:s3:::{BUCKET}/*"),
    "owner": (["s3:*"], "*"),
    "stranger": (["s3:ListBucket"], "*"),
}


def key_of(user):
    actions, resource = USERS[user]
    statement = {"Effect": "Allow", "Action": actions, "Resource": resource}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    iam = iam_backends[DEFAULT_ACCOUNT_ID]["aws"]
    iam.create_user(REGION, user)
    iam.put_user_policy(user, "archive", json.dumps(policy))
    key = iam.create_access_key(user)
    return [key.access_key_id, key.secret_access_key]


def answer(bucket, order):
    if order == "objects":
        return {
            name: {
                "bytes": len(object.value),
                "sha256": hashlib.sha256(object.value).hexdigest(),
                "parts": int(object.etag.strip('"').split("-")[1]) if "-" in object.etag else None,
            }
            for name, object in bucket.keys.items()
        }
    if order == "uploads":
        return [upload.key_name for upload in bucket.multiparts.values()]
    return base64.b64encode(bucket.keys[order.removeprefix("get ")].value).decode()


def main():
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    keys = {user: key_of(user) for user in USERS}
    bucket = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].create_bucket(BUCKET, REGION)
    port = server.get_host_and_port()[1]
    print(json.dumps({"url": f"http://127.0.0.1:{port}", "keys": keys}), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(bucket, line.strip())), flush=True)


main()
