"""PyTorch's and ONNX Runtime's sides of the comparison. Each function returns what runs one case once."""

import os

import numpy as np
from safetensors.numpy import load_file, save_file


def model_of(case, operators):
    """The network of a case, or a function for an operator, in PyTorch."""
    from reference.detector import MaskRcnn
    from reference.freqfusion import FreqFusion
    from reference.segnext import SegNeXt

    if case.kind == "carafe":
        return CarafeModule(operators)
    if case.kind == "segnext":
        return SegNeXt(operators=operators).eval()
    if case.kind == "mask_rcnn":
        return MaskRcnn(operators=operators).eval()
    return FreqFusion(
        case.channels, case.channels, feature_resample=case.resample, operators=operators
    ).eval()


def CarafeModule(operators):
    import torch

    class Module(torch.nn.Module):
        def forward(self, features, masks):
            return (operators.carafe(features, masks, 5, 2),)

    return Module().eval()


def input_names(case):
    kinds = {"carafe": ("features", "masks"), "segnext": ("image", "nmfBases"), "mask_rcnn": ("image",)}
    return kinds.get(case.kind, ("hrFeat", "lrFeat"))


def output_names(case):
    # In the order of the forward, which for a whole model is not that of what is compared.
    kinds = {"segnext": ("labels", "logits"), "mask_rcnn": ("boxes", "scores", "labels", "masks")}
    return kinds.get(case.kind, case.outputs)


# Whole models are saved as checkpoints, as users have them.
WITH_CHECKPOINT = ("segnext", "mask_rcnn")


def make_inputs(case, file, checkpoint):
    """Draws inputs and weights; those of the whole model go to a checkpoint, as users have it."""
    import torch
    from reference import library, unfold

    torch.manual_seed(0)
    height, width = case.size
    operators = unfold
    if case.kind == "mask_rcnn":
        # Its weights are fitted to the image, by several passes.
        library.load(os.environ["FREQFUSION_OPERATORS"])
        operators = library
    model = model_of(case, operators)
    tensors = {}
    if case.kind == "segnext":
        tensors["image"] = torch.randint(0, 256, (height, width, 3), dtype=torch.uint8)
        tensors["nmfBases"] = torch.nn.functional.normalize(torch.rand(1, 256, 16), dim=1)
    elif case.kind == "mask_rcnn":
        from reference.detector import give_weights, picture

        tensors["image"] = picture(height, width)
        give_weights(model, tensors["image"])
    elif case.kind == "carafe":
        tensors["features"] = torch.randn(1, case.channels, height // 2, width // 2)
        tensors["masks"] = torch.randn(1, 25, height, width).softmax(1)
    else:
        tensors["hrFeat"] = torch.randn(1, case.channels, height, width)
        tensors["lrFeat"] = torch.randn(1, case.channels, height // 2, width // 2)
    weights = {name: value.numpy() for name, value in model.state_dict().items()}
    if case.kind in WITH_CHECKPOINT:
        save_file(weights, checkpoint)
        weights = {}
    named = {f"weights.{name}": value for name, value in weights.items()}
    save_file({**{name: value.numpy() for name, value in tensors.items()}, **named}, file)


def load_model(case, operators, file, checkpoint):
    import torch

    stored = load_file(file)
    model = model_of(case, operators)
    prefix = "weights."
    weights = {n[len(prefix) :]: v for n, v in stored.items() if n.startswith(prefix)}
    if case.kind in WITH_CHECKPOINT:
        weights = load_file(checkpoint)
    model.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    inputs = tuple(torch.from_numpy(stored[name]) for name in input_names(case))
    return model, inputs


def torch_runner(case, contender, file, checkpoint, threads):
    """eager, compile, library (eager with freqfusion's operators) or floor."""
    import torch
    from reference import library, unfold

    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    operators = unfold
    if contender == "library":
        library.load(os.environ["FREQFUSION_OPERATORS"])
        operators = library
    model, inputs = load_model(case, operators, file, checkpoint)
    if contender == "floor":
        return model.convolutions(*inputs)
    if contender == "compile":
        model = torch.compile(model)

    if contender == "library" and case.kind == "carafe" and library.has_out():
        model = library.carafe_into(torch.empty(1, case.channels, *case.size))

    def run():
        with torch.inference_mode(contender != "compile"):
            outputs = model(*inputs)
        return dict(zip(output_names(case), outputs))

    return run


def export_onnx(case, file, checkpoint, onnx_file):
    import torch
    from reference import unfold

    model, inputs = load_model(case, unfold, file, checkpoint)
    with torch.no_grad():
        torch.onnx.export(
            model,
            inputs,
            onnx_file,
            opset_version=18,
            dynamo=False,
            input_names=list(input_names(case)),
            output_names=[f"out_{name}" for name in output_names(case)],
        )


def onnx_runner(case, file, onnx_file, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(onnx_file, options, providers=["CPUExecutionProvider"])
    stored = load_file(file)
    feed = {each.name: stored[each.name] for each in session.get_inputs()}

    def run():
        return dict(zip(output_names(case), session.run(None, feed)))

    return run


def save_outputs(outputs, file):
    outputs = dict(outputs)
    if "masks" in outputs and "scores" in outputs:
        # A detector's: areas stand for the masks, which freqfusion gives as run lengths.
        outputs["areas"] = outputs.pop("masks").sum((1, 2))
    arrays = {name: np.ascontiguousarray(np.asarray(value)) for name, value in outputs.items()}
    save_file(arrays, file)
