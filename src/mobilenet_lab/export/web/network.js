// The network: ONNX Runtime Web and the model, both stored in the page.

// Return the contents of a <script type="text/plain"> element: gzip, in base64.
async function unpack(id) {
  const element = document.getElementById(id);
  const packed = fromBase64(element.textContent);
  element.remove(); // the text needs more memory than its contents
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function fromBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text); // in browsers since 2025
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

export class Network {
  // channels and size describe the images: uint8, (1, channels, size, size).
  static async load(channels, size) {
    const [wasm, loader, model] = await Promise.all(["wasm", "loader", "model"].map(unpack));
    ort.env.wasm.numThreads = 1; // threads need a server that sends special headers
    ort.env.wasm.wasmBinary = wasm;
    ort.env.wasm.wasmPaths = { mjs: URL.createObjectURL(new Blob([loader], { type: "text/javascript" })) };
    const network = new Network();
    network.shape = [1, channels, size, size];
    network.session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
    await network.classify(new Uint8Array(channels * size * size)); // the first run takes longer
    return network;
  }

  // Return the probability of each class.
  async classify(pixels) {
    const { probabilities } = await this.session.run({ images: new ort.Tensor("uint8", pixels, this.shape) });
    return probabilities.data;
  }
}
