/* In the frame of the editor: the desk takes the focus whenever it shows an item. Nobody who is typing in the form beside
   it is to lose theirs to it, so focus is taken only where the frame has it already. Loaded before the desk. */
(() => {
  "use strict";
  const { focus } = HTMLElement.prototype;
  HTMLElement.prototype.focus = function focusIfHere(...how) { if (document.hasFocus()) focus.apply(this, how); };
})();
