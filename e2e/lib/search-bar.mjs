// A driver for the search bar of the widget's package.

/**
 * Renders the search bar in the page, and opens it.
 *
 * @param {import('playwright-core').Page} page a page that loaded the bundle of a version with a search bar
 * @param {{apiHost: string, apiKey: string}} props
 */
export async function mountSearchBar(page, props) {
  await page.waitForFunction(() => typeof window.renderSearchBar === 'function');
  await page.evaluate((p) => window.renderSearchBar('app', p), props);
  await page.getByText('Search here').click();
  const field = page.getByPlaceholder('Search or Ask AI...');
  return {
    page,
    /** Types a query; the bar sends the request half a second after the last key. */
    type: (query) => field.fill(query),
    /** Types another query, and returns the response. */
    async search(query) {
      await field.fill('');
      const answered = page.waitForResponse((r) => r.url().endsWith('/api/search') && r.request().method() === 'POST');
      await field.fill(query);
      return answered;
    },
    /** Returns the text of the bar and its results. */
    shown: () => page.locator('#app').innerText(),
  };
}
