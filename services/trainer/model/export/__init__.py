"""The encoder in ONNX, in float32 and int8, and the proof that it computes the same."""
