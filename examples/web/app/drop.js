/** Files from inputs, from the clipboard, and dropped. */

/**
 * Pass on the files that people give.
 * @param {HTMLElement} stage takes files of any role
 * @param {NodeListOf<HTMLLabelElement>} labels of file inputs, with the role in `data-role`; each takes dropped files too
 * @param {(role: string | null, files: File[]) => void} take the role is null where it is to be found out
 */
export function takeFiles(stage, labels, take) {
  for (const label of labels) {
    const input = label.querySelector("input");
    input.addEventListener("change", () => {
      take(label.dataset.role, [...input.files]);
      input.value = ""; // so that the same file can be chosen again
    });
    takeDropped(label, (files) => take(label.dataset.role, files));
  }
  takeDropped(stage, (files) => take(null, files));
  for (const name of ["dragover", "drop"]) window.addEventListener(name, (event) => event.preventDefault());
  window.addEventListener("paste", (event) => {
    if (event.clipboardData.files.length) take(null, [...event.clipboardData.files]);
  });
}

function takeDropped(element, take) {
  const show = (isOver) => (event) => {
    event.preventDefault();
    element.classList.toggle("over", isOver);
  };
  element.addEventListener("dragover", show(true));
  element.addEventListener("dragleave", show(false));
  element.addEventListener("drop", (event) => {
    show(false)(event);
    event.stopPropagation();
    const files = [...event.dataTransfer.files];
    if (files.length) take(files);
  });
}

/**
 * The role of a file that was given without one: by its name a mask, else the background of a cut-out that has none,
 * else a picture.
 * @param {File} file
 * @param {boolean} wantsBackground whether there is a cut-out without a background
 */
export function roleOf(file, wantsBackground) {
  if (/mask/i.test(file.name)) return "mask";
  return wantsBackground ? "background" : "picture";
}
