# Sourced by run.sh and figures.sh from the repository's root: puts what they run below target/page, and goes there.
# shellcheck shell=bash
work=$PWD/target/page
mkdir -p "$work"
rm -rf "$work/files" "$work/unit" "$work/browser" "$work/figures"
# Beside a package.json of modules, the page's files are modules to Node.js as they are to a browser.
cp -r src/page/files "$work/files"
cp -r tests/page/unit tests/page/browser tests/page/figures tests/page/package.json "$work/"
cd "$work" || exit 1
npm install --silent --no-audit --no-fund
