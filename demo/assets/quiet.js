// The published widget has two addresses of other hosts built in that no property reaches: the picture in its search bar
// and a web font. The page's content security policy blocks both, and then the widget asks for the picture again, for
// ever. This keeps it from asking at all.
"use strict";
(() => {
  const own = (url) => {
    const { origin, protocol } = new URL(url, location.href);
    return origin === location.origin || protocol === "data:";
  };
  const picture = (url) => (own(url) ? url : "/assets/mark.svg");

  const image = HTMLImageElement.prototype;
  const { get, set } = Object.getOwnPropertyDescriptor(image, "src");
  Object.defineProperty(image, "src", { get, set(url) { set.call(this, picture(url)); }, configurable: true, enumerable: true });
  const setAttribute = image.setAttribute;
  image.setAttribute = function (name, value) {
    setAttribute.call(this, name, name === "src" ? picture(value) : value);
  };

  const { appendChild } = document.head;
  document.head.appendChild = function (node) {
    return node instanceof HTMLLinkElement && !own(node.href) ? node : appendChild.call(this, node);
  };
})();
