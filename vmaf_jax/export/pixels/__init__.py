"""From two pictures to features and a score as one ONNX graph, written operator by operator."""
