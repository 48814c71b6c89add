// Images from outside: dropped, pasted or chosen files.

// Call onFile with each image file that the user gives to the page, onProblem with a message otherwise.
export function listenToFiles(chooser, dropZone, onFile, onProblem) {
  const take = (files, what) => {
    const file = [...files].find((one) => one.type.startsWith("image/"));
    if (file) onFile(file);
    else onProblem(`${what} has no image file`);
  };
  chooser.addEventListener("change", () => {
    if (chooser.files.length > 0) take(chooser.files, "The choice");
    chooser.value = ""; // the same file may be chosen again
  });
  document.addEventListener("paste", (event) => take(event.clipboardData.files, "The clipboard"));
  document.addEventListener("dragover", (event) => {
    event.preventDefault(); // allow the drop
    dropZone.classList.add("dropping");
  });
  document.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) dropZone.classList.remove("dropping");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault(); // do not leave the page
    dropZone.classList.remove("dropping");
    take(event.dataTransfer.files, "What you dropped");
  });
}
