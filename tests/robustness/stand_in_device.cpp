// A device of its own whose memory is the CPU's: it stands for a GPU where there is none.
//
// Every operator runs on the CPU, on copies, and first refuses tensors of two devices as CUDA does:
// single numbers on the CPU are taken, and so are indices.

#include <ATen/ATen.h>
#include <ATen/EmptyTensor.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/unfold_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/Allocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <c10/core/impl/alloc_cpu.h>
#include <torch/extension.h>

namespace {

constexpr auto KIND = c10::DeviceType::PrivateUse1;
const c10::Device DEVICE(KIND, 0);

struct Memory final : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    void* data = bytes ? c10::alloc_cpu(bytes) : nullptr;
    return {data, data, &release, DEVICE};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    std::memcpy(to, from, bytes);
  }
  static void release(void* data) {
    if (data) c10::free_cpu(data);
  }
};
Memory memory;
REGISTER_ALLOCATOR(KIND, &memory);

struct Guard final : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return KIND; }
  c10::Device exchangeDevice(c10::Device) const override { return DEVICE; }
  c10::Device getDevice() const override { return DEVICE; }
  void setDevice(c10::Device) const override {}
  void uncheckedSetDevice(c10::Device) const noexcept override {}
  c10::Stream getStream(c10::Device) const noexcept override { return stream(); }
  c10::Stream exchangeStream(c10::Stream) const noexcept override { return stream(); }
  c10::DeviceIndex deviceCount() const noexcept override { return 1; }
  bool queryStream(const c10::Stream&) const override { return true; }
  void synchronizeStream(const c10::Stream&) const override {}
  void synchronizeDevice(const c10::DeviceIndex) const override {}
  static c10::Stream stream() { return c10::Stream(c10::Stream::DEFAULT, DEVICE); }
};
C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard);

void resize_storage(const c10::Storage& storage, size_t bytes) {
  auto larger = memory.allocate(bytes);
  if (storage.nbytes()) {
    std::memcpy(larger.get(), storage.data(), std::min(bytes, storage.nbytes()));
  }
  storage.unsafeGetStorageImpl()->set_data_ptr_noswap(std::move(larger));
  storage.unsafeGetStorageImpl()->set_nbytes(bytes);
}

struct Hooks final : at::PrivateUse1HooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  c10::DeviceIndex deviceCount() const override { return 1; }
  void setCurrentDevice(c10::DeviceIndex) const override {}
  c10::DeviceIndex getCurrentDevice() const override { return 0; }
  c10::DeviceIndex exchangeDevice(c10::DeviceIndex) const override { return 0; }
  c10::DeviceIndex maybeExchangeDevice(c10::DeviceIndex) const override { return 0; }
  void resizePrivateUse1Bytes(const c10::Storage& storage, size_t bytes) const override {
    resize_storage(storage, bytes);
  }
};

// The same numbers as a tensor of the CPU, without a copy.
at::Tensor on_cpu(const at::Tensor& tensor) {
  if (tensor.device().type() != KIND) return tensor;
  const auto options = tensor.options().device(c10::kCPU);
  return at::from_blob(tensor.data_ptr(), tensor.sizes(), tensor.strides(), options);
}

at::Tensor on_device(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.to(DEVICE) : tensor;
}

bool has_float64 = true;

void require_known(at::ScalarType dtype) {
  const bool wide = dtype == at::kDouble || dtype == at::kComplexDouble;
  TORCH_CHECK_TYPE(has_float64 || !wide, "This device has no float64");
}

at::Tensor empty(c10::IntArrayRef size, std::optional<at::ScalarType> dtype,
                 std::optional<at::Layout>, std::optional<at::Device>, std::optional<bool>,
                 std::optional<at::MemoryFormat> format) {
  const c10::DispatchKeySet keys(c10::DispatchKey::PrivateUse1);
  const auto kind = c10::dtype_or_default(dtype);
  require_known(kind);
  return at::detail::empty_generic(size, &memory, keys, kind, format);
}

at::Tensor empty_strided(c10::IntArrayRef size, c10::IntArrayRef stride,
                         std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
                         std::optional<at::Device>, std::optional<bool>) {
  const c10::DispatchKeySet keys(c10::DispatchKey::PrivateUse1);
  const auto kind = c10::dtype_or_default(dtype);
  require_known(kind);
  return at::detail::empty_strided_generic(size, stride, &memory, keys, kind);
}

at::Tensor copy_from(const at::Tensor& from, const at::Tensor& to, bool) {
  on_cpu(to).copy_(on_cpu(from));
  return to;
}

at::Tensor copy_from_and_resize(const at::Tensor& from, const at::Tensor& to) {
  to.resize_(from.sizes());
  return copy_from(from, to, false);
}

const at::Tensor& resize(const at::Tensor& self, c10::IntArrayRef size,
                         std::optional<at::MemoryFormat>) {
  self.unsafeGetTensorImpl()->set_sizes_contiguous(size);
  const size_t needed = (self.numel() + self.storage_offset()) * self.element_size();
  if (self.storage().nbytes() < needed) resize_storage(self.storage(), needed);
  return self;
}

at::Tensor& set_storage(at::Tensor& self, at::Storage storage, int64_t offset,
                        c10::IntArrayRef size, c10::IntArrayRef stride) {
  auto* tensor = self.unsafeGetTensorImpl();
  tensor->set_storage_keep_dtype(storage);
  tensor->set_storage_offset(offset);
  if (stride.size() == size.size()) {
    tensor->set_sizes_and_strides(size, stride);
  } else {
    tensor->set_sizes_contiguous(size);
  }
  return self;
}

at::Tensor as_strided(const at::Tensor& self, c10::IntArrayRef size, c10::IntArrayRef stride,
                      std::optional<int64_t> offset) {
  return at::native::as_strided_tensorimpl(self, size, stride, offset);
}

at::Tensor view(const at::Tensor& self, c10::IntArrayRef size) {
  return at::native::view(self, size);
}

at::Tensor reshape_alias(const at::Tensor& self, c10::IntArrayRef size, c10::IntArrayRef stride) {
  return at::native::_reshape_alias(self, size, stride);
}

at::Tensor unfold(const at::Tensor& self, int64_t dimension, int64_t size, int64_t step) {
  return at::native::unfold(self, dimension, size, step);
}

at::Scalar number_of(const at::Tensor& self) { return on_cpu(self).item(); }

void require_one_device(bool device, bool cpu, const std::string& name) {
  TORCH_CHECK(!(device && cpu), "Expected all tensors to be on the same device, but found ", DEVICE,
              " and cpu, in ", name);
}

at::Tensor convolution(const at::Tensor& x, const at::Tensor& weight,
                       const std::optional<at::Tensor>& bias, c10::IntArrayRef stride,
                       c10::IntArrayRef padding, c10::IntArrayRef dilation, bool transposed,
                       c10::IntArrayRef output_padding, int64_t groups) {
  const bool biased = bias && bias->defined();
  const bool cpu = x.is_cpu() || weight.is_cpu() || (biased && bias->is_cpu());
  require_one_device(true, cpu, "convolution");
  std::optional<at::Tensor> own;
  if (biased) own = on_cpu(*bias);
  return on_device(at::convolution(on_cpu(x), on_cpu(weight), own, stride, padding, dilation,
                                   transposed, output_padding, groups));
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> convolution_backward(
    const at::Tensor& gradient, const at::Tensor& x, const at::Tensor& weight,
    c10::IntArrayRef stride, c10::IntArrayRef padding, c10::IntArrayRef dilation, bool transposed,
    c10::IntArrayRef output_padding, int64_t groups, std::array<bool, 3> wanted) {
  const std::vector<int64_t> biases = {transposed ? weight.size(1) * groups : weight.size(0)};
  const auto [of_x, of_weight, of_bias] = at::convolution_backward(
      on_cpu(gradient), on_cpu(x), on_cpu(weight), at::OptionalIntArrayRef(biases), stride, padding,
      dilation, transposed, output_padding, groups, wanted);
  return {on_device(of_x), on_device(of_weight), on_device(of_bias)};
}

// Whatever has no kernel above: on the CPU, after a look at where its tensors are.
void on_one_device(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const std::string& name = op.schema().operator_name().name;
  const bool indexes = name == "aten::index" || name.find("index_put") != std::string::npos;
  bool device = false, cpu = false;
  const auto see = [&](const at::Tensor& tensor) {
    if (!tensor.defined()) return;
    device |= tensor.device().type() == KIND;
    cpu |= tensor.is_cpu() && tensor.dim() > 0;
  };
  const auto arguments = torch::jit::last(*stack, op.schema().arguments().size());
  for (size_t place = 0; place < arguments.size(); ++place) {
    const c10::IValue& argument = arguments[place];
    if (indexes && place == 1) continue;
    if (argument.isTensor()) {
      see(argument.toTensor());
    } else if (argument.isTensorList()) {
      for (const at::Tensor tensor : argument.toTensorList()) see(tensor);
    } else if (argument.isOptionalTensorList()) {
      for (const std::optional<at::Tensor> tensor : argument.toOptionalTensorList()) {
        if (tensor) see(*tensor);
      }
    }
  }
  require_one_device(device, cpu, name);
  at::native::cpu_fallback(op, stack);
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, library) {
  library.impl("empty.memory_format", &empty);
  library.impl("empty_strided", &empty_strided);
  library.impl("_copy_from", &copy_from);
  library.impl("_copy_from_and_resize", &copy_from_and_resize);
  library.impl("resize_", &resize);
  library.impl("set_.source_Storage_storage_offset", &set_storage);
  library.impl("as_strided", &as_strided);
  library.impl("view", &view);
  library.impl("_reshape_alias", &reshape_alias);
  library.impl("unfold", &unfold);
  library.impl("_local_scalar_dense", &number_of);
  library.impl("convolution_overrideable", &convolution);
  library.impl("convolution_backward_overrideable", &convolution_backward);
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&on_one_device>());
}

}  // namespace

PYBIND11_MODULE(TORCH_EXTENSION_NAME, module) {
  module.def("install", [] { at::RegisterPrivateUse1HooksInterface(new Hooks()); });
  module.def("allow_float64", [](bool allowed) { has_float64 = allowed; });
}
