// The page's style sheet: both themes, a phone, paper. No fonts but the system's, nothing is loaded.

#include "eval/report/document.hpp"

namespace moe::inline MOE_ABI::eval {

// --c<n> are the colours of the pictures (pictures.hpp). Blue and vermilion of Okabe and Ito's palette are the colours of A and
// B: they differ for every kind of colour vision and in grey.
const char* const kPageColours = R"css(:root {
  color-scheme: light dark;
  --page: #ffffff; --ink: #1b1f24; --muted: #59626d; --line: #dde1e6; --tint: #f4f6f8; --accent: #00619e;
  --c1: #e6e9ed; --c2: #59626d; --c3: #0072b2; --c4: #7d8590; --c5: #c4500a;
  --c11: #0072b2; --c12: #c4500a; --c13: #00805c; --c14: #a8417f; --c15: #8a6d00; --c16: #2f6f8f; --c17: #5b4bb5; --c18: #59626d;
  --c21: #f0f4f8; --c22: #d8e5f0; --c23: #b5d0e5; --c24: #86b4d6; --c25: #5195c4; --c26: #2676ad; --c27: #0e5488; --c28: #08305a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171b; --ink: #e6e9ed; --muted: #9aa4b0; --line: #2d333b; --tint: #1c2126; --accent: #6cb6f5;
    --c1: #262c33; --c2: #9aa4b0; --c3: #56b4e9; --c4: #8b949e; --c5: #f0883e;
    --c11: #56b4e9; --c12: #f0883e; --c13: #3fc296; --c14: #e08bc0; --c15: #d8b93a; --c16: #7fc4de; --c17: #a99bf2; --c18: #9aa4b0;
    --c21: #1c232b; --c22: #1f3347; --c23: #204868; --c24: #23628e; --c25: #2f80b5; --c26: #4fa3d6; --c27: #8cc7ec; --c28: #d8effc;
  }
}
)css";

const char* const kPageStyle = R"css(* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif;
}
main { max-width: 72rem; margin: 0 auto; padding: 2rem 1.5rem 3rem; }
h1, h2, h3, h4, p, li, summary, figcaption, caption { overflow-wrap: anywhere; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .3rem; letter-spacing: -.01em; }
h2 { font-size: 1.35rem; line-height: 1.3; margin: 3rem 0 .5rem; padding-top: 1rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.08rem; line-height: 1.35; margin: 2.2rem 0 .6rem; }
h4 { font-size: 1rem; margin: 1.6rem 0 .3rem; }
p, ul { margin: 0 0 .8rem; max-width: 46rem; }
a { color: var(--accent); }
header p { color: var(--muted); margin: 0; }
.eyebrow { font-size: .8rem; letter-spacing: .06em; text-transform: uppercase; }
.verdict { margin: 1.5rem 0; padding: 1.1rem 1.3rem; background: var(--tint); border-left: 4px solid var(--accent); border-radius: 0 6px 6px 0; }
.verdict h3 { margin: 1.2rem 0 .3rem; font-size: .95rem; color: var(--muted); }
.verdict h3:first-child { margin-top: 0; }
.verdict ul { max-width: none; margin: .2rem 0 0; padding-left: 1.1rem; color: var(--muted); font-variant-numeric: tabular-nums; }
li { margin: .15rem 0; }
.lead { max-width: 54rem; font-size: 1.18rem; line-height: 1.45; font-weight: 600; margin-bottom: .5rem; }
.small, figcaption, footer { color: var(--muted); font-size: .86rem; line-height: 1.5; }
nav ul { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; }
.box { overflow-x: auto; margin: 0 0 .9rem; }
.box:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
table { border-collapse: collapse; font-size: .9rem; line-height: 1.35; font-variant-numeric: tabular-nums; }
caption { caption-side: top; text-align: left; font-weight: 600; padding: .35rem 0; }
th, td { padding: .34rem .55rem; text-align: left; vertical-align: top; white-space: nowrap; border-bottom: 1px solid var(--line); }
thead th { color: var(--muted); font-weight: 500; vertical-align: bottom; border-bottom: 1px solid var(--muted); }
tbody th { font-weight: 400; }
th:first-child { position: sticky; left: 0; background: var(--page); }
th:first-child, td:first-child { padding-left: 0; }
.n { text-align: right; }
th.front { font-weight: 600; }
.better { color: var(--c3); }
.behind { color: var(--c5); }
.tied { color: var(--muted); }
figure { margin: .5rem 0 1.5rem; }
.narrow { display: none; }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(32rem, 100%), 1fr)); gap: 0 2rem; }
.pictures figure { min-width: 0; }
svg { display: block; width: 100%; max-width: 50rem; height: auto; fill: none; stroke: currentColor; stroke-width: 1; font-family: inherit; font-variant-numeric: tabular-nums; }
.legend { font-size: .82rem; color: var(--muted); max-width: none; margin-top: -.8rem; }
.legend span { white-space: nowrap; margin-left: .6rem; }
.legend i { display: inline-block; width: .8em; height: .8em; margin-right: .3em; border: 1px solid var(--line); }
details { margin: .4rem 0; border-top: 1px solid var(--line); padding: .5rem 0; }
summary { cursor: pointer; font-weight: 500; }
details[open] > summary { margin-bottom: .6rem; }
pre { padding: .7rem .9rem; background: var(--tint); border-radius: 6px; font-size: .84rem; line-height: 1.5; }
code { font-family: ui-monospace, "SFMono-Regular", Menlo, Consolas, "Liberation Mono", monospace; }
footer { margin-top: 3rem; border-top: 1px solid var(--line); padding-top: .8rem; }
@media (max-width: 40rem) {
  main { padding: 1.2rem 1rem 2rem; }
  h1 { font-size: 1.5rem; }
  .verdict { margin-left: -1rem; margin-right: -1rem; padding: 1rem; border-radius: 0; }
  .lead { font-size: 1.06rem; }
  th, td { padding: .3rem .5rem; }
  tbody th { min-width: 9rem; max-width: 10rem; white-space: normal; overflow-wrap: anywhere; }
  .wide { display: none; }
  .narrow { display: block; }
  svg { max-width: 26rem; }
}
@media print {
  :root {
    color-scheme: light;
    --page: #ffffff; --ink: #000000; --muted: #444b53; --line: #c8cdd3; --tint: #ffffff; --accent: #00619e;
    --c1: #e6e9ed; --c2: #444b53; --c3: #0072b2; --c4: #7d8590; --c5: #c4500a;
    --c11: #0072b2; --c12: #c4500a; --c13: #00805c; --c14: #a8417f; --c15: #8a6d00; --c16: #2f6f8f; --c17: #5b4bb5; --c18: #444b53;
    --c21: #f0f4f8; --c22: #d8e5f0; --c23: #b5d0e5; --c24: #86b4d6; --c25: #5195c4; --c26: #2676ad; --c27: #0e5488; --c28: #08305a;
  }
  html { font-size: 9.5pt; }
  body { font-size: 1rem; }
  h2 { margin-top: 1.6rem; }
  .pictures { grid-template-columns: 1fr 1fr; }
  main { max-width: none; padding: 0; }
  nav { display: none; }
  .box { overflow: visible; }
  table { font-size: 7.4pt; }
  th, td { padding: .2rem .35rem; white-space: normal; }
  td.n, td.n data { white-space: nowrap; }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; }
  figure, tr, .verdict { break-inside: avoid; }
  h2, h3, h4, caption { break-after: avoid; }
  .wide { display: block; }
  .narrow { display: none; }
  svg { max-width: 15cm; }
  details:not([open])::details-content { content-visibility: visible; block-size: auto; }
}
)css";

}  // namespace moe::inline MOE_ABI::eval
