// The first frame, which is the page without its numbers, is drawn before any other script is loaded: what is loaded then stands
// in the template `later`. The chart's script is run before the page's own, which use it.
const later = document.getElementById('later').content;
const [chart, app] = later.querySelectorAll('script');

function begin() {
  app.remove();
  chart.addEventListener('load', () => document.head.append(app));
  document.head.append(later);
}

// A tab that nobody sees draws no frame.
if (document.hidden) begin();
else requestAnimationFrame(() => setTimeout(begin));
