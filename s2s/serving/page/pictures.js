// Pictures that are chosen, dropped or pasted.

import { ApiError } from "./api.js";
import { byId } from "./elements.js";

const LARGEST = 12 * 2 ** 20; // bytes; in base64 as long as a request may be

/** Call `use` with each picture that is chosen, dropped on the page or pasted into it. */
export function watchPictures(use) {
  const take = (files) => {
    if (files?.length) use(files[0]);
  };
  byId("file").addEventListener("change", (event) => take(event.target.files));
  document.addEventListener("dragover", (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    byId("drop").classList.add("over");
  });
  document.addEventListener("dragleave", () => byId("drop").classList.remove("over"));
  document.addEventListener("drop", (event) => {
    byId("drop").classList.remove("over");
    if (!event.dataTransfer.files.length) return;
    event.preventDefault();
    take(event.dataTransfer.files);
  });
  document.addEventListener("paste", (event) => {
    // text of a spreadsheet or a word processor comes with a picture of itself
    if (!event.clipboardData.types.includes("text/plain")) take(event.clipboardData.files);
  });
}

/** Return the content of a file in base64. Throws ApiError if it is too large or cannot be read. */
export async function readPicture(file) {
  if (file.size > LARGEST) throw new ApiError("The picture is larger than 12 MiB.", "Scale it down.");
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(new ApiError("The picture cannot be read.", "Choose it again."));
    reader.readAsDataURL(file);
  });
}
