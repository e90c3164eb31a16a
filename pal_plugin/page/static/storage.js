// Web storage that may be full or forbidden: the page then works on without it, and forgets at a reload.

function guarded(area) {
  return {
    get(key) {
      try {
        return JSON.parse(area().getItem(key));
      } catch {
        return null;
      }
    },
    set(key, value) {
      try {
        area().setItem(key, JSON.stringify(value));
      } catch {
        // full or forbidden: what is in memory still counts
      }
    },
    remove(key) {
      try {
        area().removeItem(key);
      } catch {
        // forbidden: there is nothing to remove
      }
    },
    keys(prefix) {
      try {
        return Object.keys(area()).filter((key) => key.startsWith(prefix)).sort();
      } catch {
        return [];
      }
    },
  };
}

export const kept = guarded(() => localStorage); // outlives the tab
export const draft = guarded(() => sessionStorage); // this tab's, outlives a reload
