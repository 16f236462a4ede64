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

// Parts of flat buffers that are reduced together: many small collectives would wait for each other.
constexpr int64_t kBucketElements = 8 << 20;

struct Bucket {
  at::Tensor flat;
  std::vector<at::Tensor> tensors;
};

std::vector<Bucket> fillBuckets(const std::vector<at::Tensor>& tensors) {
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
    if (bucket.tensors.size() == 1 && first.scalar_type() == at::kFloat && first.is_contiguous()) {
      bucket.flat = first.view(-1);  // a large tensor is summed where it lies
      continue;
    }
    // Sums are made in float32: bfloat16 would round at every rank.
    bucket.flat = at::empty({size}, first.options().dtype(at::kFloat));
    int64_t at = 0;
    for (const auto& tensor : bucket.tensors) {
      bucket.flat.narrow(0, at, tensor.numel()).copy_(tensor.reshape({-1}));
      at += tensor.numel();
    }
  }
  return buckets;
}

void emptyBucket(const Bucket& bucket, double factor) {
  if (factor != 1) bucket.flat.mul_(factor);
  if (bucket.flat.is_alias_of(bucket.tensors.front())) return;
  int64_t at = 0;
  for (const auto& tensor : bucket.tensors) {
    tensor.copy_(bucket.flat.narrow(0, at, tensor.numel()).view(tensor.sizes()));
    at += tensor.numel();
  }
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
    for (const auto handle : numbers<int64_t>(info[1])) tensors.push_back(table_.get(handle));
    for (const auto& tensor : tensors) {
      TORCH_CHECK(tensor.is_floating_point(), "all-reduce takes float tensors, not ", tensor.scalar_type());
      // Whoever had the old values' squares at hand has them no more.
      setSquareSums(tensor, nullptr);
    }
    const bool largest = info[2].ToBoolean();
    const double factor = info[3].ToNumber();
    auto buckets = std::make_shared<std::vector<Bucket>>(fillBuckets(tensors));
    auto running = std::make_shared<std::vector<std::unique_ptr<Collective>>>();
    for (auto& bucket : *buckets) running->push_back(groups_->allReduce(group, bucket.flat, largest));
    return Waiting::start(info.Env(), [buckets, running, factor] {
      for (size_t i = 0; i < buckets->size(); ++i) {
        (*running)[i]->wait();
        emptyBucket((*buckets)[i], factor);
      }
      return static_cast<double>(buckets->size());
    });
  });
}

// groupCollective(kind, group, out, x, …): reduce-scatter, all-gather, all-to-all (receive, send), broadcast (root), barrier.
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
      if (kind == "broadcast")
        running = groups_->broadcast(group, x, info[4].ToNumber());
      else if (kind == "reduce-scatter")
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
