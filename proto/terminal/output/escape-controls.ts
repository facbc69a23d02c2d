/**
 * Text that others wrote (messages of containers and nodes, annotations), for a terminal: what would move the cursor,
 * set titles or clear the screen is shown instead of done. Line breaks and tabs stay, and so do colours, which do no
 * harm.
 */
const CONTROLS = /\u001b(?!\[[0-9;]*m)|[\u0000-\u0008\u000b-\u001a\u001c-\u001f\u007f-\u009f]/g
const DELETE = 0x7f

export function escapeControls(text: string): string {
  return text.replace(CONTROLS, (character) => {
    const code = character.charCodeAt(0)
    if (code < 0x20) return `^${String.fromCharCode(code + 0x40)}`
    return code === DELETE ? '^?' : `\\x${code.toString(16)}`
  })
}
