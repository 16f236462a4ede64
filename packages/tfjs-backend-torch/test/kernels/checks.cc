// Holds the kernels of native/cuda, run by include/cuda_runtime_api.h on the CPU, to plain loops in double. Ends with 0 where all hold.
#include "checks.h"

void checkLayers();

namespace {

bool isClose(double actual, double expected, double tolerance) {
  return std::abs(actual - expected) <= tolerance * std::max(1.0, std::abs(expected));
}

void checkRouter(int64_t groups, int64_t ofGroup, int64_t experts, int64_t capacity, bool ignorePadding, bool isBfloat16) {
  const std::string name = "router of " + std::to_string(groups) + "x" + std::to_string(ofGroup) + " tokens, " + std::to_string(experts) +
                           " experts, capacity " + std::to_string(capacity) + (isBfloat16 ? ", bfloat16" : "");
  const int64_t tokens = groups * ofGroup;
  Buffer<float> logits(tokens * experts), real(tokens, 1), probs(tokens * experts), gate(tokens), logZ(tokens);
  Buffer<int32_t> expert(tokens), slot(tokens), occupied(experts * groups, -7), taken(groups * experts, -7);
  for (int64_t i = 0; i < tokens * experts; ++i) logits[i] = isBfloat16 ? rounded(draw(2)) : draw(2);
  for (int64_t n = 0; n < tokens; ++n) {
    if (n % 5 == 4) real[n] = 0;
    // Equal best ones in different lanes, and in one lane: the first is chosen.
    if (n % 7 == 0) logits[n * experts + experts - 1] = logits[n * experts + experts / 2] = 9;
    if (n % 7 == 1) std::fill_n(logits.data() + n * experts, experts, 3.0f);
    if (n % 7 == 2) logits[n * experts] = -std::numeric_limits<float>::infinity();
  }
  routerSoftmax(logits.data(), real.data(), ignorePadding, isBfloat16, tokens, experts, probs.data(), expert.data(), gate.data(),
                logZ.data(), nullptr);
  routerPlaces(expert.data(), groups, ofGroup, experts, capacity, slot.data(), occupied.data(), taken.data(), nullptr);
  bool softmax = true, places = true;
  std::vector<int32_t> count(groups * experts, 0);
  for (int64_t n = 0; n < tokens; ++n) {
    const float* const in = logits.data() + n * experts;
    const double top = *std::max_element(in, in + experts);
    double sum = 0;
    for (int64_t e = 0; e < experts; ++e) sum += std::exp(in[e] - top);
    const float* const p = probs.data() + n * experts;
    for (int64_t e = 0; e < experts; ++e) {
      softmax &= isClose(p[e], std::exp(in[e] - top) / sum, isBfloat16 ? 4e-3 : 1e-6) && (!isBfloat16 || p[e] == rounded(p[e]));
    }
    const bool routed = !ignorePadding || real[n] != 0;
    const auto best = static_cast<int32_t>(std::max_element(p, p + experts) - p);
    softmax &= isClose(logZ[n], top + std::log(sum), 1e-6) && expert[n] == (routed ? best : -1) && gate[n] == (routed ? p[best] : 0.0f);
    const int64_t g = n / ofGroup;
    int32_t expected = static_cast<int32_t>(experts * groups * capacity);
    if (routed) {
      const int32_t position = count[g * experts + best]++;
      if (position < capacity) expected = static_cast<int32_t>((best * groups + g) * capacity + position);
    }
    places &= slot[n] == expected;
  }
  for (int64_t g = 0; g < groups; ++g) {
    for (int64_t e = 0; e < experts; ++e) {
      const int32_t chose = count[g * experts + e];
      places &= taken[g * experts + e] == chose && occupied[e * groups + g] == std::min<int64_t>(chose, capacity);
    }
  }
  check(softmax, name + ": softmax and choice");
  check(places, name + ": places");
  check(probs.whole() && gate.whole() && logZ.whole() && expert.whole() && slot.whole() && occupied.whole() && taken.whole(),
        name + ": writes beyond the end");
}

template <typename T>
void checkRows(int64_t tokens, int64_t slots, int64_t width) {
  const bool isBfloat16 = !std::is_same_v<T, float>;
  const std::string name = "rows of " + std::to_string(width) + (isBfloat16 ? ", bfloat16" : "");
  Buffer<T> x = drawn<T>(tokens * width), y = drawn<T>(slots * width), d = drawn<T>(tokens * width);
  Buffer<T> to = drawn<T>(slots * width), out = drawn<T>(tokens * width), ungated = drawn<T>(tokens * width), dY = drawn<T>(slots * width);
  Buffer<float> gate = drawn<float>(tokens), dGate = drawn<float>(tokens);
  Buffer<int32_t> slot(tokens);
  std::vector<int32_t> order(slots + tokens / 3);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), generator);
  for (int64_t n = 0; n < tokens; ++n) slot[n] = std::min<int32_t>(order[n], static_cast<int32_t>(slots));
  dispatchRows(x.data(), slot.data(), isBfloat16, tokens, slots, width, to.data(), nullptr);
  combineRows(y.data(), slot.data(), gate.data(), isBfloat16, tokens, slots, width, out.data(), nullptr);
  combineRows(y.data(), slot.data(), nullptr, isBfloat16, tokens, slots, width, ungated.data(), nullptr);
  combineRowsGradient(d.data(), y.data(), slot.data(), gate.data(), isBfloat16, tokens, slots, width, dY.data(), dGate.data(), nullptr);
  std::vector<float> filled(slots * width, 0), filledGradient(slots * width, 0);
  bool combined = true, along = true;
  for (int64_t n = 0; n < tokens; ++n) {
    const bool placed = slot[n] < slots;
    double sum = 0;
    for (int64_t i = 0; i < width; ++i) {
      const int64_t from = slot[n] * width + i, at = n * width + i;
      if (placed) {
        filled[from] = inFloat(x[at]);
        filledGradient[from] = inFloat(as<T>(gate[n] * inFloat(d[at])));
        sum += static_cast<double>(inFloat(d[at])) * inFloat(y[from]);
      }
      combined &= inFloat(out[at]) == (placed ? inFloat(as<T>(gate[n] * inFloat(y[from]))) : 0.0f);
      combined &= inFloat(ungated[at]) == (placed ? inFloat(y[from]) : 0.0f);
    }
    along &= isClose(dGate[n], sum, 1e-5);
  }
  bool dispatched = true, scattered = true;
  for (int64_t i = 0; i < slots * width; ++i) {
    dispatched &= inFloat(to[i]) == filled[i];
    scattered &= inFloat(dY[i]) == filledGradient[i];
  }
  check(dispatched, name + ": dispatch");
  check(combined, name + ": combine");
  check(scattered && along, name + ": gradient of combine");
  check(to.whole() && out.whole() && ungated.whole() && dY.whole() && dGate.whole(), name + ": writes beyond the end");
}

// One matrix with its buffers, and what must come out.
struct Case {
  int64_t rows, columns;
  bool factored, isBfloat16;
  float scale;
  Buffer<float> value{0}, first{0}, second{0}, gradient{0};
  Buffer<__nv_bfloat16> bfloat16Gradient{0};
  std::vector<double> expectedValue, expectedFirst, expectedSecond;
};

// Adafactor by its definition (src/ops/optimizers/adafactor.ts).
void expectUpdate(Case& c, double learningRate, double beta) {
  const int64_t rows = c.rows, columns = c.columns, size = rows * columns;
  const auto g = [&](int64_t i) -> double { return c.isBfloat16 ? inFloat(c.bfloat16Gradient[i]) : c.gradient[i]; };
  const auto average = [&](double moment, double latest) { return moment * beta + (latest + 1e-30) * (1 - beta); };
  c.expectedValue.assign(c.value.data(), c.value.data() + size);
  c.expectedFirst.assign(c.first.data(), c.first.data() + c.first.size);
  c.expectedSecond.assign(c.second.data(), c.second.data() + c.second.size);
  std::vector<double> update(size);
  if (c.factored) {
    std::vector<double> ofRow(rows, 0), ofColumn(columns, 0);
    for (int64_t i = 0; i < size; ++i) {
      ofRow[i / columns] += g(i) * g(i) / columns;
      ofColumn[i % columns] += g(i) * g(i) / rows;
    }
    for (int64_t r = 0; r < rows; ++r) c.expectedFirst[r] = average(c.expectedFirst[r], ofRow[r]);
    for (int64_t k = 0; k < columns; ++k) c.expectedSecond[k] = average(c.expectedSecond[k], ofColumn[k]);
    const double mean = std::accumulate(c.expectedFirst.begin(), c.expectedFirst.end(), 0.0) / rows;
    for (int64_t i = 0; i < size; ++i) {
      update[i] = g(i) / std::sqrt(c.expectedFirst[i / columns] / mean) / std::sqrt(c.expectedSecond[i % columns]);
    }
  } else {
    for (int64_t i = 0; i < size; ++i) {
      c.expectedFirst[i] = average(c.expectedFirst[i], g(i) * g(i));
      update[i] = g(i) / std::sqrt(c.expectedFirst[i]);
    }
  }
  double squares = 0, values = 0;
  for (int64_t i = 0; i < size; ++i) {
    squares += update[i] * update[i];
    values += c.expectedValue[i] * c.expectedValue[i];
  }
  const double clip = std::max(std::sqrt(squares / size), 1.0);
  const double rate = std::max(std::sqrt(values / size), 1e-3) * learningRate / clip;
  for (int64_t i = 0; i < size; ++i) c.expectedValue[i] -= rate * update[i];
}

double furthest(Buffer<float>& actual, const std::vector<double>& expected) {
  double largest = 0, off = 0;
  for (const double x : expected) largest = std::max(largest, std::abs(x));
  for (int64_t i = 0; i < actual.size; ++i) {
    const double difference = std::abs(actual[i] - expected[i]);
    off = std::max(off, std::isnan(difference) ? 1e9 : difference);
  }
  return largest > 0 ? off / largest : off;
}

void checkAdafactor(float guardValue) {
  const bool stopped = !std::isfinite(guardValue);
  // Factored and not, in turns, so that matrices without tiles stand first, between and last; large and vanishing gradients.
  std::vector<Case> cases;
  const auto add = [&](int64_t rows, int64_t columns, bool factored, bool isBfloat16, float scale, float ofValues = 1) {
    Case c{rows, columns, factored, isBfloat16, scale};
    const int64_t size = rows * columns;
    c.value = Buffer<float>(size);
    for (int64_t i = 0; i < size; ++i) c.value[i] = draw(ofValues);
    c.first = Buffer<float>(factored ? rows : size);
    c.second = Buffer<float>(factored ? columns : 0);
    c.gradient = Buffer<float>(size);
    c.bfloat16Gradient = Buffer<__nv_bfloat16>(size);
    for (int64_t i = 0; i < size; ++i) c.bfloat16Gradient[i] = __float2bfloat16(c.gradient[i] = draw(scale));
    for (Buffer<float>* moments : {&c.first, &c.second}) {
      for (int64_t i = 0; i < moments->size; ++i) (*moments)[i] = std::abs(draw(scale * scale));
    }
    cases.push_back(std::move(c));
  };
  add(1, 300, false, false, 1);
  add(9, 33, true, false, 3);
  add(3, 7, false, true, 0.1f);
  add(4, 300, true, true, 1e-3f);
  add(1, 1, false, false, 100);
  add(40, 5, true, false, 1e-6f);
  add(8, 64, true, true, 10);
  add(6, 20, true, false, 1, 1e-5f);
  add(2, 40, false, false, 0, 0);
  add(2050, 3, true, false, 1, 1);  // more rows than a tile has
  std::vector<AdafactorMatrix> matrices;
  int64_t rows = 0, tiles = 0;
  for (Case& c : cases) {
    const void* gradient = c.isBfloat16 ? static_cast<const void*>(c.bfloat16Gradient.data()) : c.gradient.data();
    matrices.push_back(
        {c.value.data(), gradient, c.first.data(), c.factored ? c.second.data() : nullptr, c.rows, c.columns, rows, tiles, c.isBfloat16});
    rows += c.rows;
    if (c.factored) tiles += adafactorTiles(c.rows, c.columns);
  }
  const auto count = static_cast<int64_t>(cases.size());
  Buffer<float> values = drawn<float>(rows), updates = drawn<float>(rows), means = drawn<float>(count), steps = drawn<float>(count);
  Buffer<float> columns = drawn<float>(tiles * 32);
  const float guard[] = {1.5f, guardValue};
  for (const float beta : {0.0f, 0.7f}) {
    const float rates[] = {0.02f, beta, 1.0f};
    for (Case& c : cases) {
      if (!stopped) {
        expectUpdate(c, rates[0], beta);
        continue;
      }
      c.expectedValue.assign(c.value.data(), c.value.data() + c.value.size);
      c.expectedFirst.assign(c.first.data(), c.first.data() + c.first.size);
      c.expectedSecond.assign(c.second.data(), c.second.data() + c.second.size);
    }
    adafactorStep(
        {matrices.data(), count, rows, tiles, rates, guard, 2, values.data(), updates.data(), means.data(), columns.data(), steps.data()},
        nullptr);
    for (Case& c : cases) {
      const double tolerance = stopped ? 0 : 3e-6;
      const std::string name = "Adafactor of [" + std::to_string(c.rows) + ", " + std::to_string(c.columns) + "], β " +
                               std::to_string(beta) + (stopped ? ", stopped" : "");
      check(furthest(c.value, c.expectedValue) <= tolerance, name + ": value");
      check(furthest(c.first, c.expectedFirst) <= tolerance, name + ": first moments");
      check(furthest(c.second, c.expectedSecond) <= tolerance, name + ": second moments");
      check(c.value.whole() && c.first.whole() && c.second.whole(), name + ": writes beyond the end");
    }
  }
  check(values.whole() && updates.whole() && means.whole() && columns.whole() && steps.whole(), "Adafactor: writes beyond the end");
}

}  // namespace

int main() {
  using emulated::Order;
  for (const Order order : {Order::kForward, Order::kBackward}) {
    emulated::order = order;
    for (const bool isBfloat16 : {false, true}) {
      checkRouter(1, 1, 2, 1, true, isBfloat16);
      checkRouter(2, 70, 4, 9, true, isBfloat16);
      checkRouter(3, 32, 8, 4, false, isBfloat16);
      checkRouter(2, 50, 33, 2, true, isBfloat16);
      checkRouter(1, 40, 128, 1, true, isBfloat16);
      checkRouter(2, 34, 12289, 1, true, isBfloat16);  // more experts than a block has shared memory for
      checkRouter(0, 0, 4, 1, true, isBfloat16);
    }
    checkRows<float>(0, 22, 24);
    for (const int64_t width : {1, 24, 300}) {
      checkRows<float>(30, 22, width);
      checkRows<__nv_bfloat16>(30, 22, width);
    }
    checkAdafactor(0.5f);
    checkLayers();
  }
  checkAdafactor(std::numeric_limits<float>::quiet_NaN());
  checkAdafactor(std::numeric_limits<float>::infinity());
  std::printf("%d failed\n", failures);
  return failures > 0 ? 1 : 0;
}
