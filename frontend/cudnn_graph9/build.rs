//! See `gvirtus-cudnn-part`.

fn main() {
    gvirtus_cudnn_part::build("graph");
}
