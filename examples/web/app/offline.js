/** Installing the page, and its use without a network. */

/**
 * @param {HTMLButtonElement} button shown where the browser offers to install the page
 * @param {() => void} ready called when the page can be opened without a network
 */
export function beOffline(button, ready) {
  // there is none on addresses other than https and localhost
  navigator.serviceWorker?.register("service-worker.js").then(() => navigator.serviceWorker.ready.then(ready), console.warn);
  window.addEventListener("beforeinstallprompt", (event) => {
    event.preventDefault();
    button.hidden = false;
    button.onclick = () => event.prompt();
  });
  window.addEventListener("appinstalled", () => (button.hidden = true));
}
