// MMD^2 and its gradient in float32: one pass over 64 x 64 tiles of pairs, in which distances, kernels and slopes stay in registers
// and only the slopes of one tile are written, to be multiplied with the points at once.
//
// Plain C++ with the compiler's vector extension (GCC, Clang): no header of torch, any instruction set. The draws of x and y are
// pooled and cut into blocks of 64. Blocks meet in the rounds of a tournament, so that in each round every block has one task at
// most: no atomics, and the same bits for any number of threads.

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace {

#ifdef __AVX512F__
constexpr int W = 16, C = 4;
#else
constexpr int W = 8, C = 2;
#endif
constexpr int R = 4, TILE = 64;
static_assert(TILE % R == 0 && TILE % (W * C) == 0);

typedef float vec __attribute__((vector_size(W * sizeof(float))));
typedef int32_t ivec __attribute__((vector_size(W * sizeof(int32_t))));

inline vec spread(float s) { return s - vec{}; }
inline vec load(const float* p) {
  vec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline void store(float* p, vec v) { std::memcpy(p, &v, sizeof v); }
inline float total(vec v) {
  for (int width = W / 2; width; width /= 2)
    for (int i = 0; i < width; ++i) v[i] += v[i + width];
  return v[0];
}

// 2^t for t <= 0; what is below 2^-126 becomes that.
inline vec exp2_of(vec t) {
  const vec low = spread(-126.f), magic = spread(12582912.f);
  t = t < low ? low : t;
  const vec shifted = t + magic;  // the nearest integer, in the low bits
  const vec rest = t - (shifted - magic);
  vec p = spread(1.52527338e-5f);
  p = p * rest + 1.54035304e-4f;
  p = p * rest + 1.33335581e-3f;
  p = p * rest + 9.61812911e-3f;
  p = p * rest + 5.55041087e-2f;
  p = p * rest + 2.40226507e-1f;
  p = p * rest + 6.93147181e-1f;
  p = p * rest + 1.f;
  return (vec)((ivec)p + ((ivec)shifted << 23));
}

}  // namespace

extern "C" {

// One kernel of the mixture. Gaussian: `rate` > 0 begins a chain with exp(rate S), then come `squarings`; the inverse multiquadric
// with scale c has c^2 as rate. `value` and `slope` weigh the kernel and its derivative in S = -|z_i - z_j|^2 / 2.
struct Link {
  float rate;
  int32_t squarings;
  float value, slope;
};

struct Task {
  const float *x, *y, *weight_x, *weight_y, *unit;  // weights and unit may be null
  float *value, *gradient_x, *gradient_y;           // gradients may be null
  int64_t g, n, m, d;
  const Link* links;
  int32_t count, gaussian, unbiased, paired, threads;
  float length;
  double at_zero;
};
}

namespace {

struct Space {  // one problem's operands
  int64_t d, stride, n[2], blocks[2];
  float *panels, *points, *pull;     // z in panels of W draws, [z w] row by row, what pulls at every point
  float *norm, *weight, *pull_sum;   // -|z|^2 / 2, weights (0: padding), sums of the slopes
  double* sums;                      // of the kernels, one for each block
  double factor[3], length;          // of (x, x), (y, y), (x, y)
  std::vector<float> memory;
  std::vector<double> wide;
  int64_t all() const { return blocks[0] + blocks[1]; }
  int side(int64_t block) const { return block >= blocks[0]; }
  int64_t used(int64_t block) const {
    const int s = side(block);
    return std::min<int64_t>(TILE, n[s] - (block - (s ? blocks[0] : 0)) * TILE);
  }
};

void reserve(Space& s, const Task& t) {
  s.d = t.d;
  s.stride = (t.d + W - 1) / W * W;
  s.n[0] = t.n, s.n[1] = t.m;
  s.blocks[0] = (t.n + TILE - 1) / TILE, s.blocks[1] = (t.m + TILE - 1) / TILE;
  const int64_t rows = s.all() * TILE, with = t.gradient_x || t.gradient_y;
  s.memory.resize(rows * (t.d + s.stride * (1 + with) + 3) + 3 * W);
  s.wide.resize(s.all() + t.d);
  float* p = s.memory.data();
  p += (W - (reinterpret_cast<uintptr_t>(p) / sizeof(float)) % W) % W;
  s.panels = p, p += rows * t.d;
  s.points = p, p += rows * s.stride;
  s.pull = p, p += with ? rows * s.stride : 0;
  s.norm = p, p += rows;
  s.weight = p, p += rows;
  s.pull_sum = p;
  s.sums = s.wide.data();
}

// Centre the draws of problem g, scale them, lay them out; count the weights.
void prepare(Space& s, const Task& t, int64_t g) {
  const float* from[2] = {t.x + g * t.n * t.d, t.y + g * t.m * t.d};
  const float* weights[2] = {t.weight_x ? t.weight_x + g * t.n : nullptr, t.weight_y ? t.weight_y + g * t.m : nullptr};
  double* mean = s.wide.data() + s.all();
  double sum[2] = {0, 0}, square[2] = {0, 0}, cross = 0;
  std::fill(mean, mean + s.d, 0.0);
  for (int side = 0; side < 2; ++side)
    for (int64_t i = 0; i < s.n[side]; ++i) {
      const double w = weights[side] ? weights[side][i] : 1.0;
      sum[side] += w, square[side] += w * w;
      for (int64_t k = 0; k < s.d; ++k) mean[k] += w * from[side][i * s.d + k];
    }
  if (t.paired)
    for (int64_t i = 0; i < t.n; ++i) cross += (weights[0] ? weights[0][i] : 1.0) * (weights[1] ? weights[1][i] : 1.0);
  const double all = sum[0] + sum[1];
  for (int64_t k = 0; k < s.d; ++k) mean[k] = all > 0 ? mean[k] / all : 0;
  const double totals[3] = {sum[0] * sum[0] - (t.unbiased ? square[0] : 0), sum[1] * sum[1] - (t.unbiased ? square[1] : 0),
                            sum[0] * sum[1] - cross};
  const bool enough = totals[0] > 0 && totals[1] > 0 && totals[2] > 0;
  for (int i = 0; i < 3; ++i) s.factor[i] = enough ? (i == 2 ? -2 : 1) / totals[i] : 0;
  s.length = (double)t.length * (t.unit ? t.unit[g] : 1.f);
  const float scale = (float)(1 / s.length);
  const int64_t rows = s.all() * TILE;
  std::memset(s.panels, 0, sizeof(float) * rows * s.d);
  std::memset(s.points, 0, sizeof(float) * rows * s.stride);
  if (t.gradient_x || t.gradient_y) std::memset(s.pull, 0, sizeof(float) * rows * s.stride);
  std::memset(s.norm, 0, sizeof(float) * rows * 3);
  std::fill(s.sums, s.sums + s.all(), 0.0);
  for (int side = 0; side < 2; ++side)
    for (int64_t i = 0; i < s.n[side]; ++i) {
      const int64_t row = (side ? s.blocks[0] * TILE : 0) + i;
      const float w = weights[side] ? weights[side][i] : 1.f;
      float *panel = s.panels + row / W * W * s.d + row % W, *point = s.points + row * s.stride;
      float norm = 0;
      for (int64_t k = 0; k < s.d; ++k) {
        const float z = (float)(from[side][i * s.d + k] - mean[k]) * scale;
        panel[k * W] = z;
        point[k] = w * z;
        norm += z * z;
      }
      s.norm[row] = -0.5f * norm;
      s.weight[row] = w;
    }
  if (!t.unbiased) s.sums[0] = t.at_zero * (s.factor[0] * square[0] + s.factor[1] * square[1]);
}

// -|z_i - z_j|^2 / 2 of R rows and C panels of columns.
template <bool DIRECT>
inline void distances(const Space& s, int64_t row, int64_t column, vec (&out)[R][C]) {
  const float* a = s.panels + row / W * W * s.d + row % W;
  const float* b = s.panels + column * s.d;
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c) out[r][c] = DIRECT ? vec{} : load(s.norm + column + c * W) + s.norm[row + r];
  for (int64_t k = 0; k < s.d; ++k) {
    vec z[C];
    for (int c = 0; c < C; ++c) z[c] = load(b + c * W * s.d + k * W);
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
      const vec one = spread(a[k * W + r]);
      for (int c = 0; c < C; ++c)
        if constexpr (DIRECT) {
          const vec apart = one - z[c];
          out[r][c] += apart * apart * -0.5f;
        } else {
          out[r][c] += one * z[c];
        }
    }
  }
}

// All kernels and the slope of C vectors of exponents.
template <bool GRAD>
inline void mixture(const Task& t, const vec (&exponent)[C], vec (&value)[C], vec (&slope)[C], float factor) {
  vec e[C] = {};
  for (int c = 0; c < C; ++c) value[c] = slope[c] = vec{};
  for (int l = 0; l < t.count; ++l) {
    const Link link = t.links[l];
    if (!t.gaussian) {
      for (int c = 0; c < C; ++c) e[c] = 1.f / (link.rate - 2.f * exponent[c]);
    } else if (link.rate > 0) {
      for (int c = 0; c < C; ++c) e[c] = exp2_of(exponent[c] * (link.rate * 1.44269504f));
    }
    for (int q = 0; q < link.squarings; ++q)
      for (int c = 0; c < C; ++c) e[c] *= e[c];
    for (int c = 0; c < C; ++c) value[c] += e[c] * link.value;
    if (GRAD)
      for (int c = 0; c < C; ++c) slope[c] += (t.gaussian ? e[c] : e[c] * e[c]) * (link.slope * factor);
  }
}

// Sum the kernels of the pairs of two blocks; with GRAD write their slopes and add up the slopes' rows and columns.
template <bool DIRECT, bool GRAD>
double tile(Space& s, const Task& t, int64_t first, int64_t second, bool leave_out, bool mirrored, float factor, float* slopes) {
  double sum = 0;
  const int64_t rows = s.used(first), columns = s.used(second), top = first * TILE, left = second * TILE;
  ivec lanes;
  for (int i = 0; i < W; ++i) lanes[i] = i;
  for (int64_t i = 0; i < rows; i += R) {
    vec kernel_sum[R] = {}, slope_sum[R] = {};
    for (int64_t j = 0; j < columns; j += W * C) {
      vec exponent[R][C], down[C] = {};
      distances<DIRECT>(s, top + i, left + j, exponent);
      for (int r = 0; r < R; ++r) {
        vec value[C], slope[C];
        for (int c = 0; c < C; ++c) {
          exponent[r][c] = exponent[r][c] > 0 ? vec{} : exponent[r][c];
          if (leave_out) exponent[r][c] = lanes + (int32_t)(j + c * W) == (int32_t)(i + r) ? spread(-1e30f) : exponent[r][c];
        }
        mixture<GRAD>(t, exponent[r], value, slope, factor);
        for (int c = 0; c < C; ++c) {
          const vec w = load(s.weight + left + j + c * W);
          kernel_sum[r] += value[c] * w;
          if constexpr (GRAD) {
            store(slopes + (i + r) * TILE + j + c * W, slope[c]);
            slope_sum[r] += slope[c] * w;
            down[c] += slope[c] * s.weight[top + i + r];
          }
        }
      }
      if (GRAD && mirrored)
        for (int c = 0; c < C; ++c) {
          float* p = s.pull_sum + left + j + c * W;
          store(p, load(p) + down[c]);
        }
    }
    for (int r = 0; r < R; ++r) {
      sum += (double)total(kernel_sum[r]) * s.weight[top + i + r];
      if (GRAD) s.pull_sum[top + i + r] += total(slope_sum[r]);
    }
  }
  return sum;
}

// pull[i] += sum_j h(i, j) points[j], with h(i, j) at h[i step + j other], over N vectors of coordinates.
template <int N>
inline void product(float* pull, const float* points, const float* h, int64_t step, int64_t other, int64_t rows, int64_t columns,
                    int64_t stride) {
  for (int64_t i = 0; i < rows; i += R) {
    vec a[R][N];
    for (int r = 0; r < R; ++r)
      for (int v = 0; v < N; ++v) a[r][v] = load(pull + (i + r) * stride + v * W);
    for (int64_t j = 0; j < columns; ++j) {
      vec z[N];
      for (int v = 0; v < N; ++v) z[v] = load(points + j * stride + v * W);
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) {
        const vec one = spread(h[(i + r) * step + j * other]);
        for (int v = 0; v < N; ++v) a[r][v] += one * z[v];
      }
    }
    for (int r = 0; r < R; ++r)
      for (int v = 0; v < N; ++v) store(pull + (i + r) * stride + v * W, a[r][v]);
  }
}

void pull_at(Space& s, int64_t to, int64_t by, const float* h, int64_t step, int64_t other) {
  const int64_t rows = s.used(to), columns = s.used(by), vectors = s.stride / W;
  for (int64_t v = 0; v < vectors; v += C) {
    float* pull = s.pull + to * TILE * s.stride + v * W;
    const float* points = s.points + by * TILE * s.stride + v * W;
    const int64_t left = std::min<int64_t>(C, vectors - v);
    if (left == 4) product<4>(pull, points, h, step, other, rows, columns, s.stride);
    if (left == 3) product<3>(pull, points, h, step, other, rows, columns, s.stride);
    if (left == 2) product<2>(pull, points, h, step, other, rows, columns, s.stride);
    if (left == 1) product<1>(pull, points, h, step, other, rows, columns, s.stride);
  }
}

// The pairs of two blocks, first <= second.
void meet(Space& s, const Task& t, int64_t first, int64_t second, float* slopes) {
  const int a = s.side(first), b = s.side(second);
  const bool same = first == second, partner = t.paired && a != b && first + s.blocks[0] == second;
  const bool pulls[2] = {(a ? t.gradient_y : t.gradient_x) != nullptr, !same && (b ? t.gradient_y : t.gradient_x) != nullptr};
  const double factor = s.factor[a == b ? a : 2];
  const float slope_factor = (float)(factor * (a == b ? 2 : 1));
  const bool grad = pulls[0] || pulls[1], direct = s.d <= 3;
  const auto run = direct ? (grad ? tile<true, true> : tile<true, false>) : (grad ? tile<false, true> : tile<false, false>);
  s.sums[first] += factor * (a == b && !same ? 2 : 1) * run(s, t, first, second, same || partner, !same, slope_factor, slopes);
  if (pulls[0]) pull_at(s, first, second, slopes, TILE, 1);
  if (pulls[1]) pull_at(s, second, first, slopes, 1, TILE);
}

// Round 0: every block with itself; then the rounds of a tournament (circle method), in which all pairs meet once.
int64_t rounds(const Space& s) { return s.all() + s.all() % 2; }
void one_round(Space& s, const Task& t, int64_t round, int64_t part, int64_t parts, float* slopes) {
  const int64_t even = rounds(s);
  if (round == 0) {
    for (int64_t i = part; i < s.all(); i += parts) meet(s, t, i, i, slopes);
    return;
  }
  for (int64_t i = part; i < even / 2; i += parts) {
    int64_t a = i == 0 ? even - 1 : (round + i) % (even - 1), b = (round + even - 1 - i) % (even - 1);
    if (a > b) std::swap(a, b);
    if (b < s.all()) meet(s, t, a, b, slopes);
  }
}

void finish(Space& s, const Task& t, int64_t g) {
  double value = 0;
  for (int64_t block = 0; block < s.all(); ++block) value += s.sums[block];
  t.value[g] = (float)value;
  const float scale = (float)(1 / s.length);
  for (int side = 0; side < 2; ++side) {
    float* to = side ? t.gradient_y : t.gradient_x;
    if (!to) continue;
    to += g * s.n[side] * s.d;
    for (int64_t i = 0; i < s.n[side]; ++i) {
      const int64_t row = (side ? s.blocks[0] * TILE : 0) + i;
      const float* panel = s.panels + row / W * W * s.d + row % W;
      const float *pull = s.pull + row * s.stride, factor = scale * s.weight[row];
      for (int64_t k = 0; k < s.d; ++k) to[i * s.d + k] = factor * (pull[k] - s.pull_sum[row] * panel[k * W]);
    }
  }
}

class Barrier {
  std::mutex mutex_;
  std::condition_variable free_;
  int64_t parts_, waiting_ = 0, turn_ = 0;

 public:
  explicit Barrier(int64_t parts) : parts_(parts) {}
  void wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    const int64_t turn = turn_;
    if (++waiting_ == parts_) {
      waiting_ = 0, ++turn_;
      free_.notify_all();
    } else {
      free_.wait(lock, [&] { return turn != turn_; });
    }
  }
};

template <class Work>
void in_threads(int64_t parts, Work work) {
  std::vector<std::thread> others;
  for (int64_t part = 1; part < parts; ++part) others.emplace_back(work, part);
  work(int64_t{0});
  for (auto& other : others) other.join();
}

}  // namespace

extern "C" void rwae_mmd(const Task* task) {
  const Task& t = *task;
  const double work = (double)t.g * (t.n + t.m) * (t.n + t.m) * (t.d + 16.0);
  const int64_t threads = std::max<int64_t>(1, std::min<int64_t>(t.threads, (int64_t)(work / 2e7)));
  if (t.g >= threads) {
    in_threads(threads, [&](int64_t part) {
      alignas(64) float slopes[TILE * TILE];
      Space s;
      reserve(s, t);
      for (int64_t g = part; g < t.g; g += threads) {
        prepare(s, t, g);
        for (int64_t round = 0; round < rounds(s); ++round) one_round(s, t, round, 0, 1, slopes);
        finish(s, t, g);
      }
    });
    return;
  }
  Space s;
  reserve(s, t);
  for (int64_t g = 0; g < t.g; ++g) {
    prepare(s, t, g);
    Barrier barrier(threads);
    in_threads(threads, [&](int64_t part) {
      alignas(64) float slopes[TILE * TILE];
      for (int64_t round = 0; round < rounds(s); ++round) {
        one_round(s, t, round, part, threads, slopes);
        barrier.wait();
      }
    });
    finish(s, t, g);
  }
}
