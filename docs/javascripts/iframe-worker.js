// Search in pages that are opened from disk. There browsers start no workers, so the script that
// searches runs in a hidden frame instead. (The theme looks for a file of this name and class.)
if (location.protocol === "file:") {
  window.IFrameWorker = class extends EventTarget {
    constructor(url) {
      super()
      const frame = document.createElement("iframe")
      frame.hidden = true
      frame.srcdoc = `<!doctype html><script src="${url}"></` + "script>"
      this.ready = new Promise((resolve) => frame.addEventListener("load", resolve, { once: true }))
      document.body.append(frame)
      this.inside = frame.contentWindow
      this.ready.then(() => {
        this.inside = frame.contentWindow
        this.inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }))
      })
    }

    postMessage(data) {
      this.ready.then(() => this.inside.dispatchEvent(new MessageEvent("message", { data })))
    }
  }
  window.Worker = window.IFrameWorker
}
