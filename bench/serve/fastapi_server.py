"""The bundled layout model behind FastAPI, uvicorn and PyTorch eager, as a team would write it that knows them well.

python fastapi_server.py --port 8081 --workers 1 --threads 2

POST /segment takes an encoded image as its body and answers with a PNG of labels. Images are decoded and encoded on
threads of their own; one image at a time goes through the network, with all threads, so that a crowd of requests does
not run more threads than there are cores. Everything is as fast as PyTorch's own operators make it: windows multiplied
in batches, channels-last, inference mode. uvicorn comes with uvloop and httptools.
"""

import argparse
import asyncio
import io
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import torch
import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response
from PIL import Image, UnidentifiedImageError

from layout_model import Layout, labels_of
from reference import torch_best

MAX_BYTES = 32 * 2**20


class Service:
    def __init__(self):
        torch.set_num_threads(int(os.environ["SERVE_THREADS"]))
        self.model = Layout(torch_best.Windows()).to(memory_format=torch.channels_last)
        self.images = ThreadPoolExecutor(2, "images")
        self.network = ThreadPoolExecutor(1, "network")
        with torch.inference_mode():
            for _ in range(3):
                self.model(torch.zeros(1, 3, 640, 480).contiguous(memory_format=torch.channels_last))

    def decode(self, body):
        picture = Image.open(io.BytesIO(body))
        x, content = self.model.prepare(picture)
        return x.contiguous(memory_format=torch.channels_last), content, (picture.height, picture.width)

    @torch.inference_mode()
    def infer(self, x, content, size):
        return labels_of(self.model(x), x.shape[2:], content, size)

    @staticmethod
    def encode(labels):
        out = io.BytesIO()
        Image.fromarray(labels).save(out, "PNG")
        return out.getvalue()

    async def segment(self, body):
        loop = asyncio.get_running_loop()
        prepared = await loop.run_in_executor(self.images, self.decode, body)
        labels = await loop.run_in_executor(self.network, self.infer, *prepared)
        return await loop.run_in_executor(self.images, self.encode, labels)


@asynccontextmanager
async def lifespan(app):
    app.state.service = Service()
    yield


app = FastAPI(lifespan=lifespan)


@app.get("/v2/health/ready")
async def ready():
    return {"ready": True}


@app.post("/segment")
async def segment(request: Request):
    body = await request.body()
    if len(body) > MAX_BYTES:
        raise HTTPException(413, "too large")
    try:
        labels = await request.app.state.service.segment(body)
    except (UnidentifiedImageError, OSError) as error:
        raise HTTPException(415, "no image that can be read") from error
    return Response(labels, media_type="image/png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8081)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    os.environ["SERVE_THREADS"] = str(args.threads)
    uvicorn.run("fastapi_server:app", port=args.port, workers=args.workers, log_level="warning", access_log=False)
