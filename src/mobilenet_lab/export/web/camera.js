// The camera, as a source of images.

const INTERVAL_MS = 100; // between images

export class Camera {
  stream = null;

  // onFrame gets the video element, and may return a promise.
  constructor(onFrame) {
    this.onFrame = onFrame;
  }

  get isOn() {
    return this.stream !== null;
  }

  // Ask for the camera. Throws an error with a message for the user.
  async start() {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Error("This browser offers no camera to a local file. Choose an image instead.");
    }
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    } catch (error) {
      const reason = error.name === "NotAllowedError" ? "The camera was not allowed" : "No camera was found";
      throw new Error(`${reason}. Choose an image instead.`);
    }
    this.video = document.createElement("video");
    this.video.playsInline = this.video.muted = true;
    this.video.srcObject = this.stream;
    await this.video.play();
    this.watch(this.stream);
  }

  async watch(stream) {
    while (this.stream === stream) {
      await this.onFrame(this.video);
      await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS));
    }
  }

  stop() {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = null;
  }
}
