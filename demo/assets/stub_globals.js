// The published widget contains two hard-coded URLs of other hosts: the image in its search bar and a web font. The page's
// content security policy blocks both, and then the widget requests the image again, in an endless loop. This script prevents
// these requests.
"use strict";
(() => {
  const isLocal = (url) => {
    const { origin, protocol } = new URL(url, location.href);
    return origin === location.origin || protocol === "data:";
  };
  const localImage = (url) => (isLocal(url) ? url : "/assets/logo.svg");

  const image = HTMLImageElement.prototype;
  const { get, set } = Object.getOwnPropertyDescriptor(image, "src");
  Object.defineProperty(image, "src", { get, set(url) { set.call(this, localImage(url)); }, configurable: true, enumerable: true });
  const setAttribute = image.setAttribute;
  image.setAttribute = function (name, value) {
    setAttribute.call(this, name, name === "src" ? localImage(value) : value);
  };

  const { appendChild } = document.head;
  document.head.appendChild = function (node) {
    return node instanceof HTMLLinkElement && !isLocal(node.href) ? node : appendChild.call(this, node);
  };
})();
