"""The server's Open Inference Protocol through Triton's own clients, over REST and gRPC.

Usage: python test_triton_client.py [LIBRARY] [GOLDENS], with FREQFUSION_NODE or node, and dist/ built.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import grpc
import numpy as np
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from server import CLI, NODE, ROOT, png, served
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

sys.path.insert(0, str(Path(__file__).parent.parent / "ops"))
from golden import Tally  # noqa: E402

PROTO = ROOT / "lib" / "server" / "grpc" / "open_inference_grpc.proto"
PICTURE = ROOT / "models" / "shapes" / "val" / "picture_00.png"
CLASSES = 5
KEY = "a-key-of-some-length"
PROTOCOLS = {"REST": triton_http, "gRPC": triton_grpc}


def pages(count, height=96, width=128):
    """Images [N, H, W, 3] of blocks, each another."""
    rows, columns = np.mgrid[0:height, 0:width]
    images = [((rows // 16 + columns // (8 + 8 * i)) % 2 * 200 + 20 * i) for i in range(count)]
    return np.repeat(np.stack(images)[..., None], 3, axis=3).astype(np.uint8)


def image_input(module, pixels, **options):
    tensor = module.InferInput("image", list(pixels.shape), "UINT8")
    tensor.set_data_from_numpy(pixels, **options)
    return tensor


def files_input(module, files, **options):
    tensor = module.InferInput("encoded_image", [len(files)], "BYTES")
    tensor.set_data_from_numpy(np.array(files, dtype=np.object_), **options)
    return tensor


def outputs_of(module, *names, **options):
    return [module.InferRequestedOutput(name, **options) for name in names]


def refused(tally, call, status, words, what):
    try:
        call()
        tally.check(False, f"{what}: nothing was refused")
    except InferenceServerException as error:
        told = f"{error.status()}: {error.message()}"
        tally.check(error.status() == status and words in error.message(), f"{what}: {told}")


# The scalar types of protobuf descriptors that the definition uses, by their numbers.
SCALARS = {1: "double", 2: "float", 3: "int64", 4: "uint64", 5: "int32", 8: "bool", 9: "string", 12: "bytes", 13: "uint32"}


def published(message):
    """The fields of a message of Triton's own definition and of those within it: (message, field, number, type, repeated)."""
    for field in message.fields:
        entry = field.message_type is not None and field.message_type.GetOptions().map_entry
        kind = field.message_type.name if field.message_type else SCALARS[field.type]
        if entry:
            kind = f"map<string, {field.message_type.fields_by_name['value'].message_type.name}>"
        repeated = field.is_repeated and not entry
        yield message.full_name.removeprefix("inference."), field.name, field.number, kind, repeated
    for nested in message.nested_types:
        if not nested.GetOptions().map_entry:
            yield from published(nested)


def written(text):
    """The same of our .proto."""
    scope = []
    for line in text.splitlines():
        if match := re.match(r" *(message|oneof|service) (\w+) {", line):
            scope.append((match[1], match[2]))
            if line.endswith("}"):
                scope.pop()
        elif re.match(r" *}$", line):
            scope.pop()
        elif match := re.match(r" *(repeated )?([\w<>, ]+) (\w+) = (\d+);", line):
            name = ".".join(each for kind, each in scope if kind == "message")
            yield name, match[3], int(match[4]), match[2], match[1] is not None


def check_definition(tally):
    """Every message, field number and method of our .proto against those that Triton's client was made from."""
    text = PROTO.read_text()
    messages = re.findall(r"^message (\w+)", text, re.MULTILINE)
    theirs = {field for name in messages for field in published(service_pb2.DESCRIPTOR.message_types_by_name[name])}
    ours = set(written(text))
    tally.check(len(messages) == 14 and len(ours) > 50, f"{len(messages)} messages, {len(ours)} fields")
    for field in sorted(theirs ^ ours):
        tally.check(False, f"{'ours' if field in ours else 'theirs'} alone: {field}")
    tally.check(theirs == ours, "the same fields")
    methods = re.findall(r"rpc (\w+)\((\w+)\) returns \((\w+)\)", text)
    service = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
    for name, request, response in methods:
        method = service.methods_by_name[name]
        tally.check((method.input_type.name, method.output_type.name) == (request, response), f"method {name}")
    tally.check(len(methods) == 6, "six methods")


def check_metadata(tally, http, rpc):
    for client in (http, rpc):
        tally.check(client.is_server_live(), "live")
        tally.check(client.is_server_ready(), "ready")
        tally.check(client.is_model_ready("layout"), "layout is ready")
        tally.check(client.is_model_ready("shapes", "1"), "version 1 of shapes is ready")
    server = http.get_server_metadata()
    tally.check(server["name"] == "freqfusion" and "binary_tensor_data" in server["extensions"], "server, REST")
    tally.check(rpc.get_server_metadata(as_json=True) == server, "server, gRPC as REST")
    for name in ("layout", "shapes"):
        rest = http.get_model_metadata(name)
        rest.pop("parameters")
        told = rpc.get_model_metadata(name, as_json=True)
        for tensor in told["inputs"] + told["outputs"]:
            tensor["shape"] = [int(size) for size in tensor["shape"]]
        tally.check(told == rest, f"metadata of {name}, gRPC as REST")
    inputs = {each["name"]: (each["datatype"], each["shape"]) for each in http.get_model_metadata("layout")["inputs"]}
    tally.check(inputs == {"image": ("UINT8", [-1, -1, -1, 3]), "encoded_image": ("BYTES", [-1])}, "inputs of layout")


def check_segmentation(tally, http, rpc):
    images = pages(3)
    names = ("labels", "scores", "probabilities", "logits")
    results = {}
    for protocol, client in (("REST", http), ("gRPC", rpc)):
        module = PROTOCOLS[protocol]
        result = client.infer(
            "layout", [image_input(module, images)], outputs=outputs_of(module, *names), request_id="seven"
        )
        results[protocol] = result
        answer = result.get_response() if protocol == "REST" else result.get_response(as_json=True)
        tally.check(answer["id"] == "seven" and answer["model_name"] == "layout", f"{protocol}: id and model")
    got = {name: results["REST"].as_numpy(name) for name in names}
    for name in names:
        tally.check(np.array_equal(got[name], results["gRPC"].as_numpy(name)), f"{name}: REST and gRPC agree")
    labels, scores, probabilities, logits = (got[name] for name in names)
    tally.check(labels.dtype == np.uint8 and labels.shape == (3, 96, 128), "labels are UINT8 [N, H, W]")
    tally.check(probabilities.shape == (3, CLASSES, 96, 128), "probabilities are [N, C, H, W]")
    tally.check(logits.shape[:2] == (3, CLASSES) and logits.ndim == 4, "logits are [N, C, h, w]")
    tally.check(np.array_equal(probabilities.argmax(axis=1), labels), "the label has the greatest probability")
    tally.check(np.abs(probabilities.sum(axis=1) - 1).max() < 1e-5, "probabilities add up to 1")
    tally.check(np.abs(probabilities.max(axis=1) - scores).max() < 1e-6, "scores are the greatest probability")
    tally.check(len(np.unique(labels)) > 1, "the images have several classes")

    one = http.infer("layout", [image_input(triton_http, images[1:2])]).as_numpy("labels")
    tally.check(np.array_equal(one[0], labels[1]), "an image by itself is labelled as among others")
    files = [png(each) for each in images]
    forms = {
        "JSON both ways": lambda: http.infer(
            "layout",
            [image_input(triton_http, images, binary_data=False)],
            outputs=outputs_of(triton_http, "labels", binary_data=False),
        ),
        "gzip": lambda: http.infer(
            "layout", [image_input(triton_http, images)], request_compression_algorithm="gzip"
        ),
        "deflate": lambda: http.infer(
            "layout", [image_input(triton_http, images)], request_compression_algorithm="deflate"
        ),
        "files over REST": lambda: http.infer("layout", [files_input(triton_http, files)]),
        "files over gRPC": lambda: rpc.infer("layout", [files_input(triton_grpc, files)]),
        "a version, priority and time limit": lambda: rpc.infer(
            "layout", [image_input(triton_grpc, images)], "1", priority=1, timeout=20_000_000
        ),
        "priority and time limit over REST": lambda: http.infer(
            "layout", [image_input(triton_http, images)], priority=3, timeout=20_000_000
        ),
        "async over REST": lambda: http.async_infer("layout", [image_input(triton_http, images)]).get_result(),
    }
    for what, call in forms.items():
        tally.check(np.array_equal(call().as_numpy("labels"), labels), f"{what}: the same labels")


def check_typed_contents(tally, address, http):
    """What other gRPC clients send: elements in the message instead of raw bytes."""
    images = pages(1, 40, 48)
    request = service_pb2.ModelInferRequest(model_name="layout", id="typed")
    tensor = request.inputs.add(name="image", datatype="UINT8", shape=images.shape)
    tensor.contents.uint_contents.extend(images.ravel().tolist())
    with grpc.insecure_channel(address) as channel:
        answer = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(request)
    got = np.frombuffer(answer.raw_output_contents[0], np.uint8).reshape(answer.outputs[0].shape)
    want = http.infer("layout", [image_input(triton_http, images)]).as_numpy("labels")
    tally.check(answer.id == "typed" and np.array_equal(got, want), "typed contents: the same labels")


def command_detections():
    """What `freqfusion detect` finds in the picture."""
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "found.json")
        command = [NODE, CLI, "detect", str(PICTURE), "-o", file, "--format", "json", "--score", "0.3"]
        subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return json.loads(Path(file).read_text())["detections"]


def check_detection(tally, http, rpc):
    want = command_detections()
    tally.check(len(want) > 2, "the picture has shapes")
    empty = png(np.full((64, 200, 3), 255, np.uint8))
    for protocol, client in (("REST", http), ("gRPC", rpc)):
        files = [empty, PICTURE.read_bytes()]
        result = client.infer("shapes", [files_input(PROTOCOLS[protocol], files)], parameters={"score_threshold": 0.3})
        counts = result.as_numpy("num_detections")
        found = counts[1, 0]
        boxes, scores, labels, masks = (result.as_numpy(each) for each in ("boxes", "scores", "labels", "masks"))
        most = counts.max()
        tally.check(counts.dtype == np.int32 and counts.shape == (2, 1), f"{protocol}: num_detections [N, 1]")
        shapes = (boxes.shape, scores.shape, labels.shape, masks.shape)
        tally.check(shapes == ((2, most, 4), (2, most), (2, most), (2, most)), f"{protocol}: padded to the most")
        tally.check(found == len(want), f"{protocol}: {found} detections, {len(want)} by the command")
        for i, detection in enumerate(want):
            tally.check(np.abs(boxes[1, i] - detection["box"]).max() < 1e-3, f"{protocol}: box {i}")
            tally.check(abs(scores[1, i] - detection["score"]) < 1e-5, f"{protocol}: score {i}")
            tally.check(labels[1, i] == detection["label"], f"{protocol}: label {i}")
            tally.check(json.loads(masks[1, i]) == detection["mask"], f"{protocol}: mask {i}")
        none = counts[0, 0]
        tally.check((labels[0, none:] == -1).all() and not scores[0, none:].any(), f"{protocol}: empty slots")
        two = client.infer(
            "shapes",
            [files_input(PROTOCOLS[protocol], files[1:])],
            outputs=outputs_of(PROTOCOLS[protocol], "num_detections", "scores"),
            parameters={"max_detections": 2},
        )
        tally.check(two.as_numpy("scores").shape == (1, 2), f"{protocol}: max_detections")
        tally.check(two.as_numpy("boxes") is None, f"{protocol}: no output that was not asked for")
        nothing = client.infer("shapes", [files_input(PROTOCOLS[protocol], [empty])], parameters={"max_detections": 1})
        shape = (1, int(nothing.as_numpy("num_detections")[0, 0]), 4)
        tally.check(nothing.as_numpy("boxes").shape == shape, f"{protocol}: an image without detections")


def check_refusals(tally, http, rpc):
    images = pages(1)
    statuses = {"REST": ("400", "404"), "gRPC": ("StatusCode.INVALID_ARGUMENT", "StatusCode.NOT_FOUND")}
    for protocol, client in (("REST", http), ("gRPC", rpc)):
        module = PROTOCOLS[protocol]
        bad, missing = statuses[protocol]
        good = image_input(module, images)
        floats = module.InferInput("image", list(images.shape), "FP32")
        floats.set_data_from_numpy(np.full(images.shape, np.nan, np.float32))
        strange = module.InferInput("picture", list(images.shape), "UINT8")
        strange.set_data_from_numpy(images)
        sizes = [png(images[0]), png(images[0][:50])]
        refused(tally, lambda: client.infer("layout", [floats]), bad, "expected UINT8", f"{protocol}: NaN")
        refused(tally, lambda: client.infer("layout", [strange]), bad, "image or encoded_image", f"{protocol}: input")
        refused(tally, lambda: client.infer("layuot", [good]), missing, "layout", f"{protocol}: model")
        refused(tally, lambda: client.infer("layout", [good], "2"), missing, "version", f"{protocol}: version")
        refused(
            tally,
            lambda: client.infer("layout", [good], outputs=outputs_of(module, "label")),
            bad,
            "the nearest is labels",
            f"{protocol}: output",
        )
        refused(
            tally,
            lambda: client.infer("layout", [files_input(module, sizes)]),
            bad,
            "images of one size",
            f"{protocol}: images of two sizes",
        )
        refused(
            tally,
            lambda: client.infer("shapes", [good], parameters={"max_detection": 3}),
            bad,
            "max_detections",
            f"{protocol}: parameter",
        )
        broken = [PICTURE.read_bytes()[:2000]]
        refused(tally, lambda: client.infer("shapes", [files_input(module, broken)]), bad, "damaged", f"{protocol}: file")
    refused(
        tally,
        lambda: rpc.infer("layout", [image_input(triton_grpc, pages(32, 256, 256))], client_timeout=0.05),
        "StatusCode.DEADLINE_EXCEEDED",
        "Deadline",
        "gRPC: the client's deadline",
    )
    refused(
        tally,
        lambda: rpc.infer("layout", [image_input(triton_grpc, pages(32, 256, 256))], timeout=50_000),
        "StatusCode.DEADLINE_EXCEEDED",
        "no answer within 50 ms",
        "gRPC: the request's time limit",
    )
    refused(
        tally,
        lambda: http.infer("layout", [image_input(triton_http, pages(32, 256, 256))], timeout=50_000),
        "504",
        "no answer within 50 ms",
        "REST: the request's time limit",
    )
    tally.check(http.is_server_ready() and rpc.is_server_ready(), "the server goes on after all of that")


def check_documentation(tally, rest_address, rpc_address):
    """The examples of docs/protocol.md, as they stand."""
    text = (ROOT / "docs" / "protocol.md").read_text()
    examples = re.findall(r"^```python$(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    results = []
    for example in examples:
        code = example.replace("127.0.0.1:8080", rest_address).replace("127.0.0.1:8081", rpc_address)
        names = {}
        exec(code.replace('Path("models', f'Path("{ROOT}/models'), names)  # noqa: S102
        results.append(names)
    tally.check(len(examples) == 2, f"{len(examples)} examples")
    pages, shapes = results
    tally.check(pages["labels"].shape == (1, 96, 128) and pages["scores"].dtype == np.float32, "the first example")
    count = shapes["count"]
    tally.check(0 < count <= 20 and shapes["boxes"].shape == (count, 4), "the second example")
    tally.check(all(mask["size"] == [256, 320] for mask in shapes["masks"]), "masks of the second example")


def check_keys(tally):
    os.environ["FREQFUSION_API_KEYS"] = KEY
    # A dict of its own for each call: Triton's REST client adds to it.
    headers = {"authorization": f"Bearer {KEY}"}
    with served() as (rest_address, rpc_address):
        with triton_http.InferenceServerClient(rest_address) as http, triton_grpc.InferenceServerClient(rpc_address) as rpc:
            for protocol, client, status in (("REST", http, "401"), ("gRPC", rpc, "StatusCode.UNAUTHENTICATED")):
                good = image_input(PROTOCOLS[protocol], pages(1))
                refused(tally, lambda: client.infer("layout", [good]), status, "API key", f"{protocol}: no key")
                labels = client.infer("layout", [good], headers=dict(headers)).as_numpy("labels")
                tally.check(labels.shape == (1, 96, 128), f"{protocol}: with a key")
                tally.check(client.is_server_live() and client.is_server_ready(), f"{protocol}: health needs no key")
    del os.environ["FREQFUSION_API_KEYS"]


def main():
    tally = Tally()
    check_definition(tally)
    tally.group("definition")
    with served() as (rest_address, rpc_address):
        with triton_http.InferenceServerClient(rest_address, concurrency=4) as http, triton_grpc.InferenceServerClient(rpc_address) as rpc:
            for check in (check_metadata, check_segmentation, check_detection, check_refusals):
                check(tally, http, rpc)
                tally.group(check.__name__.removeprefix("check_"))
            check_typed_contents(tally, rpc_address, http)
        check_documentation(tally, rest_address, rpc_address)
    check_keys(tally)
    tally.group("typed contents, documentation and keys")
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
