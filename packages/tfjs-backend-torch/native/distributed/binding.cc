#include "distributed/binding.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <functional>
#include <string>
#include <vector>

#include "optim/square_sums.h"

namespace tfjs_torch {

namespace {

// Runs work on a thread of Node's pool and settles a promise with a number.
class Waiting final : public Napi::AsyncWorker {
 public:
  Waiting(Napi::Env env, std::function<double()> work)
      : Napi::AsyncWorker(env), deferred_(Napi::Promise::Deferred::New(env)), work_(std::move(work)) {}

  static Napi::Promise start(Napi::Env env, std::function<double()> work) {
    auto* const self = new Waiting(env, std::move(work));
    const Napi::Promise promise = self->deferred_.Promise();
    self->Queue();
    return promise;
  }

  void Execute() override {
    try {
      const c10::InferenceMode inference;  // a thread's own
      value_ = work_();
    } catch (const c10::Error& error) {
      SetError(error.what_without_backtrace());
    } catch (const std::exception& error) {
      SetError(error.what());
    }
  }
  void OnOK() override { deferred_.Resolve(Napi::Number::New(Env(), value_)); }
  void OnError(const Napi::Error& error) override { deferred_.Reject(error.Value()); }

 private:
  Napi::Promise::Deferred deferred_;
  std::function<double()> work_;
  double value_ = 0;
};

template <typename F>
Napi::Value guarded(Napi::Env env, F&& body) {
  try {
    const c10::InferenceMode inference;
    return body();
  } catch (const c10::Error& error) {
    throw Napi::Error::New(env, error.what_without_backtrace());
  } catch (const Napi::Error&) {
    throw;
  } catch (const std::exception& error) {
    throw Napi::Error::New(env, error.what());
  }
}

template <typename T>
std::vector<T> numbers(const Napi::Value& value) {
  const auto array = value.As<Napi::Array>();
  std::vector<T> out;
  for (uint32_t i = 0; i < array.Length(); ++i) out.push_back(static_cast<T>(array.Get(i).ToNumber().Int64Value()));
  return out;
}

// A tensor whose values are about to be others: whoever had the old values' squares at hand has them no more.
at::Tensor changed(const TensorTable& table, int64_t handle) {
  at::Tensor tensor = table.get(handle);
  setSquareSums(tensor, nullptr);
  return tensor;
}

// Rows of tensors, as views: a handle, the number of the first value and how many, for each.
std::vector<at::Tensor> changedRows(const TensorTable& table, const Napi::Value& list) {
  std::vector<at::Tensor> rows;
  const auto given = numbers<int64_t>(list);
  for (size_t i = 0; i + 2 < given.size(); i += 3) {
    const at::Tensor tensor = changed(table, given[i]);
    const int64_t begin = given[i + 1], count = given[i + 2];
    TORCH_CHECK(begin >= 0 && count >= 0 && begin + count <= tensor.numel(), "a tensor of ", tensor.numel(), " values has no ", count,
                " from ", begin);
    if (count == tensor.numel()) {
      rows.push_back(tensor);
    } else if (tensor.is_contiguous()) {
      rows.push_back(tensor.view(-1).narrow(0, begin, count));
    } else {
      const int64_t row = tensor.numel() / tensor.size(0);
      TORCH_CHECK(begin % row == 0 && count % row == 0, "parts of rows of a tensor that is not contiguous");
      rows.push_back(tensor.narrow(0, begin / row, count / row));
    }
  }
  return rows;
}

// Parts of flat buffers that are sent together: many small collectives would wait for each other.
constexpr int64_t kBucketElements = 8 << 20;

struct Bucket {
  at::Tensor flat;
  std::vector<at::Tensor> tensors;
};

// Buckets of a dtype, filled with the tensors' values or, where those are about to be replaced, with nothing.
std::vector<Bucket> makeBuckets(const std::vector<at::Tensor>& tensors, at::ScalarType dtype, bool fill = true) {
  std::vector<Bucket> buckets;
  int64_t filled = 0;
  for (const auto& tensor : tensors) {
    if (buckets.empty() || filled + tensor.numel() > kBucketElements) {
      buckets.emplace_back();
      filled = 0;
    }
    buckets.back().tensors.push_back(tensor);
    filled += tensor.numel();
  }
  for (auto& bucket : buckets) {
    int64_t size = 0;
    for (const auto& tensor : bucket.tensors) size += tensor.numel();
    const at::Tensor& first = bucket.tensors.front();
    if (bucket.tensors.size() == 1 && first.scalar_type() == dtype && first.is_contiguous()) {
      bucket.flat = first.view(-1);  // a large tensor is sent from where it lies
      continue;
    }
    bucket.flat = at::empty({size}, first.options().dtype(dtype));
    if (!fill) continue;
    int64_t at = 0;
    for (const auto& tensor : bucket.tensors) {
      bucket.flat.narrow(0, at, tensor.numel()).copy_(tensor.reshape({-1}));
      at += tensor.numel();
    }
  }
  return buckets;
}

// The same for sums, which are made in float32: bfloat16 would round at every rank.
std::vector<Bucket> makeSums(const std::vector<at::Tensor>& tensors, const char* what) {
  for (const auto& tensor : tensors) TORCH_CHECK(tensor.is_floating_point(), what, " takes float tensors, not ", tensor.scalar_type());
  return makeBuckets(tensors, at::kFloat);
}

void emptyBucket(const Bucket& bucket) {
  if (bucket.flat.const_data_ptr() == bucket.tensors.front().const_data_ptr()) return;
  int64_t at = 0;
  for (const auto& tensor : bucket.tensors) {
    tensor.copy_(bucket.flat.narrow(0, at, tensor.numel()).view(tensor.sizes()));
    at += tensor.numel();
  }
}

// Waits for one collective after the other, and puts what each brought into the tensors of its bucket.
Napi::Value emptyWhenDone(Napi::Env env, std::vector<Bucket> buckets, std::vector<std::unique_ptr<Collective>> running, double factor = 1) {
  return Waiting::start(env, [buckets = std::make_shared<std::vector<Bucket>>(std::move(buckets)),
                              running = std::make_shared<std::vector<std::unique_ptr<Collective>>>(std::move(running)), factor] {
    for (size_t i = 0; i < buckets->size(); ++i) {
      (*running)[i]->wait();
      if (factor != 1) (*buckets)[i].flat.mul_(factor);
      emptyBucket((*buckets)[i]);
    }
    return static_cast<double>(buckets->size());
  });
}

}  // namespace

void DistributedBinding::define(Napi::Env env, Napi::Object exports) {
  const auto method = [&](const char* name, Napi::Value (DistributedBinding::*body)(const Napi::CallbackInfo&)) {
    exports.Set(name, Napi::Function::New(
                          env, [this, body](const Napi::CallbackInfo& info) { return (this->*body)(info); }, name));
  };
  method("groupOpen", &DistributedBinding::open);
  method("groupSplit", &DistributedBinding::split);
  method("groupAllReduce", &DistributedBinding::allReduce);
  method("groupReduce", &DistributedBinding::reduce);
  method("groupBroadcast", &DistributedBinding::broadcast);
  method("groupCollective", &DistributedBinding::collective);
  exports.Set("groupClose", Napi::Function::New(
                                env, [this](const Napi::CallbackInfo&) { groups_->close(); }, "groupClose"));
  exports.Set("groupTraffic", Napi::Function::New(
                                  env,
                                  [this](const Napi::CallbackInfo& info) -> Napi::Value {
                                    const auto traffic = groups_->traffic();
                                    auto all = Napi::Array::New(info.Env(), traffic.size());
                                    for (uint32_t i = 0; i < traffic.size(); ++i) {
                                      auto one = Napi::Object::New(info.Env());
                                      one.Set("kind", traffic[i].kind);
                                      one.Set("group", traffic[i].group);
                                      one.Set("ranks", static_cast<double>(traffic[i].size));
                                      one.Set("times", static_cast<double>(traffic[i].times));
                                      one.Set("bytes", static_cast<double>(traffic[i].bytes));
                                      all.Set(i, one);
                                    }
                                    return all;
                                  },
                                  "groupTraffic"));
  exports.Set("groupsAvailable", Napi::Boolean::New(env, ProcessGroups::available()));
}

at::Tensor DistributedBinding::tensor(const Napi::Value& handle) { return table_.get(handle.ToNumber().Int64Value()); }

// groupOpen({host, port, listens, rank, size, prefix, timeoutMs}): settles when every rank has come.
Napi::Value DistributedBinding::open(const Napi::CallbackInfo& info) {
  const auto given = info[0].As<Napi::Object>();
  const auto number = [&](const char* name) { return given.Get(name).ToNumber().Int64Value(); };
  GroupOptions options;
  options.host = given.Get("host").ToString().Utf8Value();
  options.port = static_cast<int>(number("port"));
  options.listens = given.Get("listens").ToBoolean();
  options.rank = static_cast<int>(number("rank"));
  options.size = static_cast<int>(number("size"));
  options.prefix = given.Get("prefix").ToString().Utf8Value();
  options.timeout = std::chrono::milliseconds(number("timeoutMs"));
  return Waiting::start(info.Env(), [groups = groups_, options] {
    groups->open(options);
    return 0;
  });
}

// groupSplit(ranks): the number of the new group, or -1 where this rank is not in it.
Napi::Value DistributedBinding::split(const Napi::CallbackInfo& info) {
  return Waiting::start(info.Env(), [groups = groups_, ranks = numbers<int>(info[0])] { return groups->split(ranks); });
}

// groupAllReduce(group, handles, largest, factor): sums (times the factor) or the largest, in place, of all tensors together.
Napi::Value DistributedBinding::allReduce(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const int32_t group = info[0].ToNumber();
    std::vector<at::Tensor> tensors;
    for (const auto handle : numbers<int64_t>(info[1])) tensors.push_back(changed(table_, handle));
    auto buckets = makeSums(tensors, "all-reduce");
    const bool largest = info[2].ToBoolean();
    std::vector<std::unique_ptr<Collective>> running;
    for (auto& bucket : buckets) running.push_back(groups_->allReduce(group, bucket.flat, largest));
    return emptyWhenDone(info.Env(), std::move(buckets), std::move(running), info[3].ToNumber());
  });
}

// groupReduce(group, rows, root): sums of all together, in those of `root`.
Napi::Value DistributedBinding::reduce(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const int32_t group = info[0].ToNumber(), root = info[2].ToNumber();
    auto buckets = makeSums(changedRows(table_, info[1]), "reduce");
    std::vector<std::unique_ptr<Collective>> running;
    for (auto& bucket : buckets) running.push_back(groups_->reduce(group, bucket.flat, root));
    return emptyWhenDone(info.Env(), std::move(buckets), std::move(running));
  });
}

// groupBroadcast(group, rows, root, from): rows become what root has in `from`, which on root alone are rows too.
Napi::Value DistributedBinding::broadcast(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const int32_t group = info[0].ToNumber(), root = info[2].ToNumber();
    const std::vector<at::Tensor> to = changedRows(table_, info[1]);
    const bool sends = info[3].IsArray();
    const std::vector<at::Tensor> from = sends ? changedRows(table_, info[3]) : to;
    auto buckets = makeBuckets(from, to.empty() ? at::kFloat : to.front().scalar_type(), sends);
    size_t at = 0;
    for (auto& bucket : buckets)
      for (auto& tensor : bucket.tensors) {
        TORCH_CHECK(at < to.size() && tensor.numel() == to[at].numel(), "broadcast: what is sent has not the sizes of what it goes to");
        tensor = to[at++];
      }
    TORCH_CHECK(at == to.size(), "broadcast: what is sent has not the sizes of what it goes to");
    std::vector<std::unique_ptr<Collective>> running;
    for (auto& bucket : buckets) running.push_back(groups_->broadcast(group, bucket.flat, root));
    return emptyWhenDone(info.Env(), std::move(buckets), std::move(running));
  });
}

// groupCollective(kind, group, out, x, …): reduce-scatter, all-gather, all-to-all (receive, send), barrier.
Napi::Value DistributedBinding::collective(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const std::string kind = info[0].ToString();
    const int32_t group = info[1].ToNumber();
    std::shared_ptr<Collective> running;
    if (kind == "barrier") {
      running = groups_->barrier(group);
    } else {
      at::Tensor out = tensor(info[2]), x = tensor(info[3]);
      TORCH_CHECK(out.device() == x.device(), kind, ": from ", x.device(), " to ", out.device());
      TORCH_CHECK(out.is_contiguous() && x.is_contiguous(), kind, ": the tensors must be contiguous");
      TORCH_CHECK(out.scalar_type() == x.scalar_type(), kind, ": ", x.scalar_type(), " does not go into ", out.scalar_type());
      setSquareSums(out, nullptr);
      if (kind == "reduce-scatter")
        running = groups_->reduceScatter(group, out, x);
      else if (kind == "all-gather")
        running = groups_->allGather(group, out, x);
      else if (kind == "all-to-all")
        running = groups_->allToAll(group, out, x, numbers<int64_t>(info[4]), numbers<int64_t>(info[5]));
      else
        TORCH_CHECK(false, "no collective ", kind);
    }
    return Waiting::start(info.Env(), [running] {
      running->wait();
      return 0;
    });
  });
}

}  // namespace tfjs_torch
